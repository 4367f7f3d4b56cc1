"""Images of one piece in two parts, by the comparison of all images."""

from flawsmith.data.check_report import Finding
from flawsmith.data.dataset import DefectDataset
from flawsmith.data.parts import join_parts
from flawsmith.data.views import Views
from flawsmith.errors import listed


def judge_pieces(dataset: DefectDataset, views: Views) -> list[Finding]:
    """Return groups of images in use that look like one piece and are in several parts.

    Where the origin named the parts, it or the comparison errs; where nobody did, a part is
    suggested. ``data split`` takes suggestions up, and never overrules the origin.
    """
    used = dataset.usable()
    record_of = {record.file_name: record for record in used if record.source == "real"}
    groups = [[name for name in group if name in record_of] for group in views.groups()]
    findings = []
    contradictions = join_parts(list(record_of.values()), groups).contradictions
    for group in groups:
        parts = sorted({record_of[name].part for name in group})
        if len(parts) < 2:
            continue
        free = any(record_of[name].part_source == "file" for name in group)
        if group in contradictions:
            findings.append(
                Finding(
                    kind="views_in_two_parts",
                    file=group[0],
                    others=group[1:],
                    message=f"{len(group)} images look like one piece, but their origin puts them "
                    f"into parts {listed(parts, 5)}; if it is one, give them one part, or one "
                    "image trains and another tests",
                )
            )
        elif free:
            findings.append(
                Finding(
                    kind="suggested_part",
                    file=group[0],
                    others=group[1:],
                    message=f"{len(group)} images look like one piece; 'data split' gives them one "
                    "part",
                )
            )
    return findings
