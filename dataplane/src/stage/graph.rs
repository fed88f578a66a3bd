//! The stages as a picture, `docs/graph.svg`, drawn from their cards: it cannot show what the
//! program does not do.

use super::{Pipeline, StageCard};
use crate::burst::Lane;
use crate::reason::StageId;

const BOX: (i32, i32) = (136, 46);
const PITCH: (i32, i32) = (176, 74);
const MARGIN: i32 = 20;

/// Where a stage is drawn: column and row. `None` for stages that only carry out verdicts.
const fn cell(stage: StageId) -> Option<(i32, i32)> {
    Some(match stage {
        StageId::Rx => (0, 3),
        StageId::Straight => (1, 3),
        StageId::Classify => (2, 3),
        StageId::Control => (3, 0),
        StageId::Ip4Check => (3, 2),
        StageId::Ip4Lookup => (4, 2),
        StageId::Ip6Check => (3, 4),
        StageId::Ip6Lookup => (4, 4),
        StageId::Policy => (5, 3),
        StageId::Ip4Local => (6, 1),
        StageId::Ip4Exception => (6, 2),
        StageId::Ip6Local => (6, 5),
        StageId::Ip6Exception => (6, 4),
        StageId::Glean => (7, 3),
        StageId::Ip4Rewrite => (7, 2),
        StageId::Ip6Rewrite => (7, 4),
        StageId::Tx => (8, 3),
        StageId::Inject | StageId::Ipsec | StageId::Punt | StageId::Handoff => return None,
    })
}

/// Upper left corner of a cell.
const fn corner((column, row): (i32, i32)) -> (i32, i32) {
    (MARGIN + column * PITCH.0, MARGIN + row * PITCH.1)
}

/// The text of `docs/graph.svg`.
pub fn graph_svg() -> String {
    let (right, bottom) = corner((9, 7));
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {right} {bottom}\" \
         font-family=\"sans-serif\" text-anchor=\"middle\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n\
         <defs><marker id=\"a\" viewBox=\"0 0 8 8\" refX=\"8\" refY=\"4\" markerWidth=\"8\" \
         markerHeight=\"8\" orient=\"auto\"><path d=\"M0 0 8 4 0 8z\" fill=\"#456\"/></marker></defs>\n"
    );
    svg += &edge(StageId::Rx, StageId::Straight);
    svg += &detour(StageId::Straight, StageId::Tx);
    for card in Pipeline::CARDS {
        for stage in card
            .lanes
            .iter()
            .copied()
            .chain(card.next)
            .filter_map(stage_of)
        {
            let line = edge(card.id, stage);
            // The next lane is among the others for most.
            if !svg.contains(&line) {
                svg += &line;
            }
        }
    }
    svg += &edge(StageId::Ip4Rewrite, StageId::Tx);
    svg += &edge(StageId::Ip6Rewrite, StageId::Tx);
    for &stage in StageId::ALL {
        svg += &stage_box(stage, Pipeline::CARDS.iter().find(|card| card.id == stage));
    }
    svg + "</svg>\n"
}

/// The stage that takes packets from a lane.
fn stage_of(lane: Lane) -> Option<StageId> {
    Pipeline::CARDS
        .iter()
        .find(|card| card.input == lane)
        .map(|card| card.id)
}

fn edge(from: StageId, to: StageId) -> String {
    let (Some(from), Some(to)) = (cell(from), cell(to)) else {
        return String::new();
    };
    let ((x1, y1), (x2, y2)) = (corner(from), corner(to));
    let (x1, y1, y2) = (x1 + BOX.0, y1 + BOX.1 / 2, y2 + BOX.1 / 2);
    // A line that skips a column in its own row goes round the box there.
    let bow = if from.1 == to.1 && to.0 - from.0 > 1 {
        PITCH.1 * 3 / 4
    } else {
        0
    };
    let middle = (x1 + x2) / 2;
    format!(
        "<path d=\"M{x1} {y1}C{middle} {} {middle} {} {x2} {y2}\" fill=\"none\" \
         stroke=\"#456\" marker-end=\"url(#a)\"/>\n",
        y1 + bow,
        y2 + bow
    )
}

/// A line below all boxes, from the bottom of one to the bottom of the other.
fn detour(from: StageId, to: StageId) -> String {
    let (Some(from), Some(to)) = (cell(from), cell(to)) else {
        return String::new();
    };
    let bottom = |cell| {
        let (x, y) = corner(cell);
        (x + BOX.0 / 2, y + BOX.1)
    };
    let ((x1, y1), (x2, y2), (_, low)) = (bottom(from), bottom(to), corner((0, 6)));
    format!(
        "<path d=\"M{x1} {y1}C{x1} {low} {x1} {low} {} {low}L{} {low}C{x2} {low} {x2} {low} {x2} {y2}\" \
         fill=\"none\" stroke=\"#456\" stroke-width=\"2\" marker-end=\"url(#a)\"/>\n",
        x1 + PITCH.0,
        x2 - PITCH.0
    )
}

fn stage_box(stage: StageId, card: Option<&StageCard>) -> String {
    let Some((x, y)) = cell(stage).map(corner) else {
        return String::new();
    };
    let ends = card.map_or(String::new(), |card| {
        let part = |n: usize, what| (n > 0).then(|| format!("{what} {n}"));
        let parts = [
            part(card.punts.len(), "punt"),
            part(card.drops.len(), "drop"),
        ];
        parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
    });
    format!(
        "<g><title>{}</title><rect x=\"{x}\" y=\"{y}\" width=\"{}\" height=\"{}\" rx=\"6\" \
         fill=\"#eef4fa\" stroke=\"#456\"/><text x=\"{}\" y=\"{}\" font-size=\"15\">{stage}</text>\
         <text x=\"{}\" y=\"{}\" font-size=\"11\" fill=\"#666\">{ends}</text></g>\n",
        stage.help(),
        BOX.0,
        BOX.1,
        x + BOX.0 / 2,
        y + 20,
        x + BOX.0 / 2,
        y + 37
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_stage_of_the_pipeline_is_drawn_once() {
        let svg = graph_svg();
        for card in Pipeline::CARDS {
            assert_eq!(
                svg.matches(&format!(">{}</text>", card.id)).count(),
                1,
                "{}",
                card.id
            );
        }
        assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>\n"));
    }
}
