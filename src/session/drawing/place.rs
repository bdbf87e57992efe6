//! Where the nodes of a graph stand: rows by the longest way from the inputs, places in a row near their neighbours.
//!
//! After Sugiyama, Tagawa and Toda (1981), the simple variant: no dummy nodes, a few sweeps of barycentres.

/// Sweeps that order the rows, each down and up.
const SWEEPS: usize = 4;
/// Rows that an edge is followed through to see what stands in its way.
const FOLLOWED: usize = 400;

/// Places of nodes, in columns and rows; columns are centred on 0.
#[derive(Debug, Clone, PartialEq)]
pub struct Placement {
    /// Row of each node.
    pub row: Vec<usize>,
    /// Column of each node; nodes of a row are at least 1 apart.
    pub column: Vec<f32>,
    /// Nodes of each row, left to right.
    pub rows: Vec<Vec<usize>>,
    /// For each edge the column in which it goes around what stands between its ends, if anything does.
    pub lanes: Vec<Option<f32>>,
}

/// Places `nodes` nodes that are joined by `edges` (from, to).
pub(super) fn place(nodes: usize, edges: &[(usize, usize)]) -> Placement {
    let mut before = vec![Vec::new(); nodes];
    let mut after = vec![Vec::new(); nodes];
    for &(from, to) in edges {
        before[to].push(from);
        after[from].push(to);
    }
    let row = longest_ways(&before, &after);
    let count = row.iter().max().map_or(0, |last| last + 1);
    let mut rows = vec![Vec::new(); count];
    for (node, &row) in row.iter().enumerate() {
        rows[row].push(node);
    }
    let mut column = vec![0.0; nodes];
    for row in &rows {
        spread(row, &vec![0.0; row.len()], &mut column);
    }
    for _ in 0..SWEEPS {
        for row in &mut rows {
            arrange(row, &before, &mut column);
        }
        for row in rows.iter_mut().rev() {
            arrange(row, &after, &mut column);
        }
    }
    let mut placement = Placement {
        row,
        column,
        rows,
        lanes: Vec::new(),
    };
    placement.lanes = edges.iter().map(|&(from, to)| lane(&placement, from, to)).collect();
    placement
}

/// The row of each node: one below the lowest of those before it. Nodes in a circle, which no sound graph has, come last.
fn longest_ways(before: &[Vec<usize>], after: &[Vec<usize>]) -> Vec<usize> {
    let mut missing: Vec<usize> = before.iter().map(Vec::len).collect();
    let mut ready: Vec<usize> = (0..before.len()).filter(|node| missing[*node] == 0).collect();
    let mut row = vec![0; before.len()];
    let mut next = 0;
    while let Some(&node) = ready.get(next) {
        next += 1;
        for &follower in &after[node] {
            row[follower] = row[follower].max(row[node] + 1);
            missing[follower] -= 1;
            if missing[follower] == 0 {
                ready.push(follower);
            }
        }
    }
    let last = ready.iter().map(|node| row[*node] + 1).max().unwrap_or(0);
    for (node, _) in missing.iter().enumerate().filter(|(_, missing)| **missing > 0) {
        row[node] = last;
    }
    row
}

/// Orders a row by the middle of each node's neighbours and moves the nodes there.
fn arrange(row: &mut [usize], neighbours: &[Vec<usize>], column: &mut [f32]) {
    let middle = |node: usize, column: &[f32]| {
        let near = &neighbours[node];
        if near.is_empty() {
            return column[node];
        }
        near.iter().map(|other| column[*other]).sum::<f32>() / near.len() as f32
    };
    let mut wanted: Vec<(f32, usize)> = row.iter().map(|node| (middle(*node, column), *node)).collect();
    wanted.sort_by(|a, b| a.0.total_cmp(&b.0));
    for (place, (_, node)) in row.iter_mut().zip(&wanted) {
        *place = *node;
    }
    let wanted: Vec<f32> = wanted.into_iter().map(|(column, _)| column).collect();
    spread(row, &wanted, column);
}

/// Puts the nodes of a row at the columns that they want, pushed apart to a distance of 1, on the whole where they wanted.
fn spread(row: &[usize], wanted: &[f32], column: &mut [f32]) {
    let mut last = f32::NEG_INFINITY;
    let mut moved = 0.0;
    for (&node, &wanted) in row.iter().zip(wanted) {
        column[node] = wanted.max(last + 1.0);
        last = column[node];
        moved += column[node] - wanted;
    }
    let back = moved / row.len().max(1) as f32;
    for &node in row {
        column[node] -= back;
    }
}

/// The column right of all that stands on the straight way from one node to the other.
fn lane(placement: &Placement, from: usize, to: usize) -> Option<f32> {
    let (top, bottom) = (placement.row[from], placement.row[to]);
    if bottom <= top + 1 || bottom - top > FOLLOWED {
        return None;
    }
    let (start, end) = (placement.column[from], placement.column[to]);
    let mut lane: Option<f32> = None;
    for row in top + 1..bottom {
        let share = (row - top) as f32 / (bottom - top) as f32;
        let straight = start + (end - start) * share;
        for &node in &placement.rows[row] {
            let column = placement.column[node];
            let way = lane.unwrap_or(straight);
            if (column - way).abs() < 0.6 {
                lane = Some(column + 0.62);
            }
        }
    }
    lane
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chain_stands_in_one_column() {
        let placement = place(3, &[(0, 1), (1, 2)]);
        assert_eq!(placement.row, [0, 1, 2]);
        assert!(placement.column.iter().all(|column| column.abs() < 1e-6));
        assert_eq!(placement.lanes, [None, None]);
    }

    #[test]
    fn a_shortcut_ends_below_the_longest_way_and_goes_around() {
        // A residual block: 0 → 1 → 2 → 3 and 0 → 3.
        let placement = place(4, &[(0, 1), (1, 2), (2, 3), (0, 3)]);
        assert_eq!(placement.row, [0, 1, 2, 3]);
        assert!(placement.lanes[3].unwrap() > 0.5);
    }

    #[test]
    fn branches_stand_side_by_side_without_crossing() {
        // Two chains from one node, named crosswise.
        let edges = [(0, 1), (0, 2), (1, 4), (2, 3), (4, 5), (3, 5)];
        let placement = place(6, &edges);
        let column = &placement.column;
        assert!((column[1] - column[2]).abs() >= 0.999);
        assert_eq!(column[1] < column[2], column[4] < column[3], "the chains don't cross");
        assert!(column[5].abs() < 1.0);
    }

    #[test]
    fn a_circle_is_drawn_too() {
        let placement = place(3, &[(0, 1), (1, 2), (2, 1)]);
        assert_eq!(placement.row[0], 0);
        assert_eq!(placement.row[1], placement.row[2]);
        assert!((placement.column[1] - placement.column[2]).abs() >= 0.999);
        assert_eq!(place(0, &[]).rows.len(), 0);
    }
}
