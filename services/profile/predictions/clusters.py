"""Groups of people who are alike, found by k-means or HDBSCAN. Pure."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from sklearn.cluster import HDBSCAN, KMeans
from sklearn.metrics import silhouette_score
from sklearn.neighbors import KNeighborsClassifier, NearestNeighbors

from services.profile.predictions.frame import NotEnoughData

Matrix = npt.NDArray[np.float32]
Labels = npt.NDArray[np.int64]
Algorithm = Literal["kmeans", "hdbscan"]

NOISE = -1
SAMPLE = 20_000
"""People whom the clusters are learnt from; the others join the nearest one."""
SILHOUETTE_SAMPLE = 4_000
_CHUNK = 50_000
_SEED = 11


@dataclass(frozen=True, slots=True)
class Clustering:
    """``labels`` from 0, the largest cluster first; ``NOISE`` belongs to none.

    ``silhouette``: mean of Rousseeuw (1987) over a sample, −1 to 1; ``by_k``: for every number of
    clusters that was tried (k-means).
    """

    labels: Labels
    silhouette: float | None
    by_k: dict[int, float]


def find(matrix: Matrix, algorithm: Algorithm, max_clusters: int, min_share: float) -> Clustering:
    """``min_share``: the smallest group HDBSCAN calls a cluster, as a share of all people."""
    random = np.random.default_rng(_SEED)
    chosen = np.sort(random.permutation(len(matrix))[:SAMPLE])
    sample = matrix[chosen]
    if algorithm == "kmeans":
        labels, by_k = _kmeans(matrix, sample, max_clusters)
    else:
        labels, by_k = _hdbscan(matrix, sample, min_share), {}
    labels = _largest_first(labels)
    return Clustering(labels, _silhouette(matrix, labels), by_k)


def _kmeans(matrix: Matrix, sample: Matrix, most: int) -> tuple[Labels, dict[int, float]]:
    """The number of clusters with the largest mean silhouette; of equal ones the smallest."""
    distinct = len(np.unique(sample, axis=0))
    tried: dict[int, KMeans] = {
        k: KMeans(k, n_init=5, random_state=_SEED).fit(sample)
        for k in range(2, min(most, distinct - 1) + 1)
    }
    if not tried:
        raise NotEnoughData("The people differ in too little to be told apart.")
    by_k = {k: _silhouette(sample, model.labels_) or 0.0 for k, model in tried.items()}
    best = tried[max(by_k, key=lambda k: (round(by_k[k], 6), -k))]
    parts = [best.predict(matrix[i : i + _CHUNK]) for i in range(0, len(matrix), _CHUNK)]
    return np.concatenate(parts).astype(np.int64), {k: round(v, 4) for k, v in by_k.items()}


def _hdbscan(matrix: Matrix, sample: Matrix, min_share: float) -> Labels:
    """Whoever is no farther from a member than members are from each other joins that cluster."""
    size = max(5, round(min_share * len(sample)))
    learnt = HDBSCAN(min_cluster_size=size, min_samples=min(size, 10), copy=True).fit(sample)
    member = learnt.labels_ != NOISE
    if not member.any():
        raise NotEnoughData("HDBSCAN found no group that is denser than its surroundings.")
    if len(matrix) == len(sample):
        return np.asarray(learnt.labels_, dtype=np.int64)
    inside = sample[member]
    apart = NearestNeighbors(n_neighbors=2).fit(inside).kneighbors(inside)[0][:, 1]
    reach = float(np.quantile(apart, 0.95))
    nearest = KNeighborsClassifier(1).fit(inside, learnt.labels_[member])
    labels = []
    for start in range(0, len(matrix), _CHUNK):
        part = matrix[start : start + _CHUNK]
        near = nearest.kneighbors(part, 1)[0][:, 0] <= reach
        labels.append(np.where(near, nearest.predict(part), NOISE))
    return np.concatenate(labels).astype(np.int64)


def _largest_first(labels: Labels) -> Labels:
    names, counts = np.unique(labels[labels != NOISE], return_counts=True)
    order = names[np.argsort(-counts, kind="stable")]
    place = {int(old): new for new, old in enumerate(order)}
    return np.array([place.get(int(label), NOISE) for label in labels], dtype=np.int64)


def _silhouette(matrix: Matrix, labels: Labels) -> float | None:
    member = np.flatnonzero(labels != NOISE)
    chosen = np.random.default_rng(_SEED).permutation(member)[:SILHOUETTE_SAMPLE]
    if len(np.unique(labels[chosen])) < 2:
        return None
    return round(float(silhouette_score(matrix[chosen], labels[chosen])), 4)
