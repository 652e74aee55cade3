"""Words for decisions: the names of sources and causes, and a decision in one line.

Nothing that a node does needs it: it is imported by the first decision that is asked for its words.
"""

# source_id and cause_id of a decision are places in these, see arbiter.py
SOURCES = ("model", "hold", "rule", "interlock")
CAUSES = (
    "ok", "warming", "quality", "unsure", "unstable", "returning", "no_model", "refused", "unproven", "deadline",
    "stale", "cleared", "interlock",
)  # fmt: skip


def word(decision, name):
    """A word of a Decision, see there: "source", "cause", "rule" or "reason"; AttributeError for another name."""
    if name == "source":
        return SOURCES[decision.source_id]
    if name == "cause":
        return CAUSES[decision.cause_id]
    if name == "rule":
        return decision.rule_names[decision.rule_id] if decision.rule_id >= 0 else ""
    if name == "reason":
        why = decision.source + ":" + decision.rule if decision.rule_id >= 0 else decision.cause
        return why + " " + decision.note if decision.note else why
    raise AttributeError(name)


def line(decision):
    """All of a Decision for one line of output."""
    text = "%d ms  %s  %d%%  quality %d%%  %s  %s" % (
        decision.t_ms, decision.label, decision.confidence_pct, decision.quality_pct, decision.source, decision.reason,
    )  # fmt: skip
    return text + " (" + decision.cause + ")" if decision.rule_id >= 0 and decision.source == "rule" else text
