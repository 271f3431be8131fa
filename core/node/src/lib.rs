//! One machine's decisions: start order, health verdicts, kill escalation, re-attach.
