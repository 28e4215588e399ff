-- The demo's answer, found again without any service: from the raw files alone, in one statement.
-- Ties: a receipt in the hour of the view is before it; a completion in the hour of the view, or
-- exactly 72 hours later, is a completion of the journey and no reason to keep a person out.
WITH
    events AS (
        SELECT
            JSONExtractString(json, 'person') AS person,
            JSONExtractString(json, 'event') AS event,
            -- Spelt "offer id" on receipt and view, "offer_id" on completion.
            if(
                JSONHas(json, 'value', 'offer id'),
                JSONExtractString(json, 'value', 'offer id'),
                JSONExtractString(json, 'value', 'offer_id')
            ) AS offer,
            JSONExtractInt(json, 'time') AS hour,
            toDecimal64OrZero(JSONExtractRaw(json, 'value', 'amount'), 2) AS amount
        FROM file('transcript.json.gz', 'JSONAsString', 'json String')
    ),
    counts AS (
        SELECT
            countIf(event = 'offer received') AS received,
            countIf(event = 'offer viewed') AS viewed,
            countIf(event = 'offer completed') AS completed,
            countIf(event = 'transaction') AS transactions,
            toString(sum(amount)) AS amount
        FROM events
    ),
    offers AS (
        SELECT JSONExtractString(json, 'id') AS offer
        FROM file('portfolio.json', 'JSONAsString', 'json String')
        WHERE JSONExtractString(json, 'offer_type') IN ('bogo', 'discount')
    ),
    receipts AS (
        SELECT person, offer, arraySort(groupUniqArray(hour)) AS hours
        FROM events WHERE event = 'offer received' GROUP BY person, offer
    ),
    completions AS (
        SELECT person, offer, groupUniqArray(hour) AS hours
        FROM events WHERE event = 'offer completed' GROUP BY person, offer
    ),
    -- One row per instance: the first view under (person, offer, latest receipt).
    instances AS (
        SELECT
            v.person AS person, v.offer AS offer,
            arrayMax(arrayFilter(h -> h <= v.hour, r.hours)) AS receipt,
            min(v.hour) AS view
        FROM events AS v
        INNER JOIN receipts AS r ON r.person = v.person AND r.offer = v.offer
        WHERE v.event = 'offer viewed' AND v.offer IN (SELECT offer FROM offers)
            AND arrayExists(h -> h <= v.hour, r.hours)
        GROUP BY person, offer, receipt
    ),
    entries AS (
        SELECT
            i.person AS person,
            arrayExists(h -> h >= i.view AND h <= i.view + 72, c.hours) AS in_time
        FROM instances AS i
        LEFT JOIN completions AS c ON c.person = i.person AND c.offer = i.offer
        WHERE NOT arrayExists(h -> h >= i.receipt AND h < i.view, c.hours)
    ),
    journey AS (
        SELECT
            count() AS entered,
            countIf(NOT in_time) AS reminded,
            countIf(in_time) AS completed_first,
            uniqExact(person) AS entered_people,
            uniqExactIf(person, NOT in_time) AS reminded_people
        FROM entries
    ),
    people AS (SELECT count() AS profiles FROM file('profile.json.gz', 'JSONAsString', 'json String'))
SELECT people.*, counts.*, journey.*
FROM people, counts, journey
