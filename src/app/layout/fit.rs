//! Sizes of the views when the window's size changes: plots grow, controls keep their size, nothing gets too small to use.

use super::{DESCRIBED, GAP, TAB_HEIGHT};
use crate::app::view::View;
use egui::{Vec2, vec2};
use egui_tiles::{Container, LinearDir, Tile, TileId, Tiles};

/// Sets the shares below `id` so that what was laid out in `old` fits `new`.
pub(super) fn fit(tiles: &mut Tiles<View>, id: TileId, old: Vec2, new: Vec2) {
    match tiles.get_container(id) {
        Some(Container::Linear(_)) => fit_linear(tiles, id, old, new),
        Some(Container::Tabs(tabs)) => {
            let bar = vec2(0.0, TAB_HEIGHT);
            for child in tabs.children.clone() {
                fit(tiles, child, old - bar, new - bar);
            }
        }
        Some(Container::Grid(_)) | None => {}
    }
}

fn fit_linear(tiles: &mut Tiles<View>, id: TileId, old: Vec2, new: Vec2) {
    let Some(Container::Linear(linear)) = tiles.get_container(id) else {
        return;
    };
    let dir = linear.dir;
    let children: Vec<TileId> = linear
        .children
        .iter()
        .copied()
        .filter(|child| tiles.is_visible_in_layout(*child))
        .collect();
    let gaps = GAP * children.len().saturating_sub(1) as f32;
    let lengths = linear.shares.split(&children, (along(old, dir) - gaps).max(1.0));
    // Up to the usual width views that don't grow keep theirs.
    let wider = (new.x - old.x.max(DESCRIBED.x)).max(0.0);
    let members: Vec<Member> = children
        .iter()
        .zip(&lengths)
        .map(|(child, length)| Member {
            length: *length,
            least: along(least(tiles, *child), dir),
            grows: grows(tiles, *child),
            more: match dir {
                LinearDir::Horizontal => share_of_room(tiles, *child) * wider,
                LinearDir::Vertical => 0.0,
            },
        })
        .collect();
    let fitted = distribute(&members, (along(new, dir) - gaps).max(1.0));
    if let Some(Tile::Container(Container::Linear(linear))) = tiles.get_mut(id) {
        for (child, length) in children.iter().zip(&fitted) {
            linear.shares.set_share(*child, *length);
        }
    }
    for ((child, before), after) in children.iter().zip(&lengths).zip(&fitted) {
        fit(tiles, *child, with(old, dir, *before), with(new, dir, *after));
    }
}

fn along(size: Vec2, dir: LinearDir) -> f32 {
    match dir {
        LinearDir::Horizontal => size.x,
        LinearDir::Vertical => size.y,
    }
}

fn with(size: Vec2, dir: LinearDir, length: f32) -> Vec2 {
    match dir {
        LinearDir::Horizontal => vec2(length, size.y),
        LinearDir::Vertical => vec2(size.x, length),
    }
}

/// Whether any open view in it takes the room that there is.
fn grows(tiles: &Tiles<View>, id: TileId) -> bool {
    match tiles.get(id) {
        Some(Tile::Pane(view)) => tiles.is_visible(id) && view.grows(),
        Some(Tile::Container(container)) => container.children().any(|child| grows(tiles, *child)),
        None => false,
    }
}

/// The share of a wider window that the open views in it take though they keep their size else.
fn share_of_room(tiles: &Tiles<View>, id: TileId) -> f32 {
    match tiles.get(id) {
        Some(Tile::Pane(view)) if tiles.is_visible(id) => view.share_of_room(),
        Some(Tile::Container(container)) => container
            .children()
            .map(|child| share_of_room(tiles, *child))
            .fold(0.0, f32::max),
        _ => 0.0,
    }
}

/// The least size of what is open in it.
fn least(tiles: &Tiles<View>, id: TileId) -> Vec2 {
    let Some(tile) = tiles.get(id).filter(|_| tiles.is_visible_in_layout(id)) else {
        return Vec2::ZERO;
    };
    match tile {
        Tile::Pane(view) => view.least(),
        Tile::Container(container) => {
            let children = container.children().map(|child| least(tiles, *child));
            match container {
                Container::Linear(linear) => children.fold(Vec2::ZERO, |sum, size| match linear.dir {
                    LinearDir::Horizontal => vec2(sum.x + size.x, sum.y.max(size.y)),
                    LinearDir::Vertical => vec2(sum.x.max(size.x), sum.y + size.y),
                }),
                Container::Tabs(_) => children.fold(Vec2::ZERO, Vec2::max) + vec2(0.0, TAB_HEIGHT),
                Container::Grid(_) => children.fold(Vec2::ZERO, Vec2::max),
            }
        }
    }
}

/// One part of a row or column.
#[derive(Debug, Clone, Copy)]
struct Member {
    length: f32,
    least: f32,
    grows: bool,
    /// What it takes beyond its length though it does not grow, points.
    more: f32,
}

/// Lengths that add up to `total`. Those that don't grow keep theirs, and what they may take more, unless the others would fall
/// below their least; then they give what they have beyond their own. If there is not even room for all the least lengths, those that grow go below it.
fn distribute(members: &[Member], total: f32) -> Vec<f32> {
    let all_grow = !members.iter().any(|member| member.grows);
    let grows = |member: &Member| member.grows || all_grow;
    let fixed = |member: &Member| {
        if grows(member) {
            0.0
        } else {
            member.length.max(member.least) + member.more
        }
    };
    let sum = |of: &dyn Fn(&Member) -> f32| members.iter().map(of).sum::<f32>();
    let least = sum(&|member| if grows(member) { member.least } else { 0.0 });
    let spare = sum(&|member| (fixed(member) - member.least).max(0.0) * f32::from(!grows(member)));
    let lacking = (least - (total - sum(&fixed))).clamp(0.0, spare);
    let kept = if spare > 0.0 { 1.0 - lacking / spare } else { 1.0 };
    let fixed = |member: &Member| member.least + (fixed(member) - member.least) * kept;
    let rest = total - sum(&|member| if grows(member) { 0.0 } else { fixed(member) });
    let weight = |member: &Member| {
        if grows(member) {
            (member.length - member.least).max(0.0)
        } else {
            0.0
        }
    };
    let weights = sum(&weight);
    let growing = members.iter().filter(|member| grows(member)).count().max(1) as f32;
    members
        .iter()
        .map(|member| {
            if !grows(member) {
                return fixed(member);
            }
            if rest <= least {
                let share = if least > 0.0 {
                    member.least / least
                } else {
                    1.0 / growing
                };
                return (rest * share).max(1.0);
            }
            let share = if weights > 0.0 {
                weight(member) / weights
            } else {
                1.0 / growing
            };
            member.least + (rest - least) * share
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(length: f32, least: f32, grows: bool) -> Member {
        Member {
            length,
            least,
            grows,
            more: 0.0,
        }
    }

    #[test]
    fn a_larger_window_gives_its_room_to_the_plots() {
        let members = [
            member(500.0, 228.0, false),
            member(500.0, 300.0, true),
            member(280.0, 264.0, false),
        ];
        assert_eq!(
            distribute(&members, 1280.0),
            [500.0, 500.0, 280.0],
            "nothing moves by itself"
        );
        assert_eq!(distribute(&members, 1920.0), [500.0, 1140.0, 280.0]);
        let table = Member {
            more: 128.0,
            ..members[0]
        };
        assert_eq!(
            distribute(&[table, members[1], members[2]], 1920.0),
            [628.0, 1012.0, 280.0]
        );
    }

    #[test]
    fn in_a_narrow_window_the_sides_yield_before_the_plots() {
        let members = [
            member(500.0, 228.0, false),
            member(500.0, 300.0, true),
            member(280.0, 264.0, false),
        ];
        let lengths = distribute(&members, 900.0);
        assert!((lengths.iter().sum::<f32>() - 900.0).abs() < 1e-3, "{lengths:?}");
        assert!(
            (lengths[1] - 300.0).abs() < 1e-3 && lengths[0] > 228.0 && lengths[2] >= 264.0,
            "{lengths:?}"
        );
        let lengths = distribute(&members, 600.0);
        assert!(
            (lengths[0] - 228.0).abs() < 1e-3 && (lengths[2] - 264.0).abs() < 1e-3,
            "{lengths:?}"
        );
    }

    #[test]
    fn without_a_plot_all_share_the_room() {
        let members = [member(100.0, 50.0, false), member(300.0, 100.0, false)];
        assert_eq!(distribute(&members, 400.0), [100.0, 300.0]);
        let lengths = distribute(&members, 800.0);
        assert!(
            (lengths.iter().sum::<f32>() - 800.0).abs() < 1e-3 && lengths[0] > 100.0,
            "{lengths:?}"
        );
    }

    #[test]
    fn what_was_dragged_too_small_is_pushed_back() {
        let members = [member(20.0, 228.0, false), member(980.0, 300.0, true)];
        assert_eq!(distribute(&members, 1000.0), [228.0, 772.0]);
        let members = [member(990.0, 300.0, true), member(10.0, 150.0, true)];
        assert_eq!(distribute(&members, 1000.0), [850.0, 150.0]);
    }
}
