"""What clients of other families send, turned into Segment's calls: one pure file per family."""
