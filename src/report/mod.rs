//! Floor 6: evidence and verdicts as text for people. Renders only; the caller prints.
