//! Colours and type: no other file of the window names a colour. One colour, one meaning, everywhere.
//!
//! The meanings that a report shows too have their colours from [`crate::report::palette`].

use crate::report::figure::Ink;
use crate::report::palette::{self, Palette, Rgb, Token};
use egui::{Color32, FontFamily, FontId, Stroke, TextStyle, Theme, Visuals};

/// The meanings that have a colour.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Tokens {
    /// Float, original, before.
    pub(super) original: Color32,
    /// Quantized, after.
    pub(super) quantized: Color32,
    /// An outlier.
    pub(super) outlier: Color32,
    /// A channel that was split.
    pub(super) split: Color32,
    /// What is clipped.
    pub(super) clipped: Color32,
    /// The values of the grid.
    pub(super) grid: Color32,
    /// A line that can be dragged.
    pub(super) handle: Color32,
    /// A fault.
    pub(super) error: Color32,
    /// A doubt.
    pub(super) warning: Color32,
    /// An answer that the recipe changes, or makes less sure.
    pub(super) changed: Color32,
    /// An answer that the recipe makes surer.
    pub(super) surer: Color32,
    dark: bool,
}

const DARK: Tokens = Tokens {
    original: rgb(palette::DARK.original),
    quantized: rgb(palette::DARK.quantized),
    outlier: rgb(palette::DARK.outlier),
    split: rgb(palette::DARK.split),
    clipped: rgb(palette::DARK.clipped),
    grid: rgb(palette::DARK.grid),
    handle: rgb(palette::DARK.handle),
    error: rgb(palette::DARK.error),
    warning: Color32::from_rgb(0xe6, 0xe6, 0x00),
    changed: rgb(palette::DARK.changed),
    surer: Color32::from_rgb(0xcc, 0xfc, 0x9c),
    dark: true,
};

const LIGHT: Tokens = Tokens {
    original: rgb(palette::LIGHT.original),
    quantized: rgb(palette::LIGHT.quantized),
    outlier: rgb(palette::LIGHT.outlier),
    split: rgb(palette::LIGHT.split),
    clipped: rgb(palette::LIGHT.clipped),
    grid: rgb(palette::LIGHT.grid),
    handle: rgb(palette::LIGHT.handle),
    error: rgb(palette::LIGHT.error),
    warning: Color32::from_rgb(0x66, 0x66, 0x33),
    changed: rgb(palette::LIGHT.changed),
    surer: Color32::from_rgb(0xb8, 0xf0, 0x60),
    dark: false,
};

/// The colours for the theme that `ui` is drawn in.
pub(super) fn tokens(ui: &egui::Ui) -> &'static Tokens {
    tokens_of(ui.visuals().dark_mode)
}

/// The same, where there is no `ui` yet.
pub(super) fn tokens_of(dark: bool) -> &'static Tokens {
    if dark { &DARK } else { &LIGHT }
}

pub(super) use palette::SQNR_RANGE_DB;

const fn rgb([red, green, blue]: Rgb) -> Color32 {
    Color32::from_rgb(red, green, blue)
}

impl Tokens {
    /// The colour of the channel whose largest weight has that `rank`.
    pub(super) fn channel(&self, rank: usize) -> Color32 {
        self.token(Token::Channel(rank))
    }

    /// Colour of one of several curves, by its place. Give curves a dash or a marker besides.
    pub(super) fn series(&self, place: usize) -> Color32 {
        self.token(Token::Series(place))
    }

    /// The error scale: one sequential map from bad to good. Bad stands out: dark on light, bright on dark.
    pub(super) fn sqnr(&self, sqnr_db: f64) -> Color32 {
        rgb(self.palette().sqnr(sqnr_db))
    }

    /// The same scale for what a layer costs, as a share of what the worst layer of the network does: 1 is bad.
    pub(super) fn cost(&self, share_of_worst: f64) -> Color32 {
        let (bad, good) = SQNR_RANGE_DB;
        self.sqnr(good + (bad - good) * share_of_worst.clamp(0.0, 1.0))
    }

    /// The colour of a meaning that figures have too.
    pub(super) fn token(&self, token: Token) -> Color32 {
        rgb(self.palette().color(token))
    }

    /// The colour of what a figure draws.
    pub(super) fn ink(&self, ink: Ink) -> Color32 {
        rgb(ink.rgb(self.palette()))
    }

    fn palette(&self) -> &'static Palette {
        if self.dark { &palette::DARK } else { &palette::LIGHT }
    }
}

/// The ground behind the tabs of views and between views: a shade off the views' own.
pub(super) fn behind_tabs(visuals: &Visuals) -> Color32 {
    if visuals.dark_mode {
        Color32::from_rgb(0x10, 0x12, 0x14)
    } else {
        Color32::from_rgb(0xe3, 0xe6, 0xe9)
    }
}

/// Ink that can be read on `ground`: black or white.
pub(super) fn readable_on(ground: Color32) -> Color32 {
    let [red, green, blue, _] = ground.to_array().map(f32::from);
    let lightness = 0.299 * red + 0.587 * green + 0.114 * blue;
    if lightness > 140.0 {
        Color32::from_gray(0x10)
    } else {
        Color32::from_gray(0xf4)
    }
}

/// The same colour, letting `share` of it through.
pub(super) fn faded(color: Color32, share: f32) -> Color32 {
    color.gamma_multiply(share)
}

/// A thin line.
pub(super) fn thin(color: Color32) -> Stroke {
    Stroke::new(1.0, color)
}

/// Sets type, spacing and colours for both themes.
pub(super) fn install(ctx: &egui::Context) {
    // Arrows and triangles are in the monospaced font only.
    let mut fonts = egui::FontDefinitions::default();
    fonts
        .families
        .entry(FontFamily::Proportional)
        .or_default()
        .push("Hack".to_owned());
    ctx.set_fonts(fonts);
    ctx.all_styles_mut(|style| {
        let sizes = [
            (TextStyle::Small, 11.0, FontFamily::Proportional),
            (TextStyle::Body, 13.0, FontFamily::Proportional),
            (TextStyle::Button, 13.0, FontFamily::Proportional),
            (TextStyle::Heading, 16.0, FontFamily::Proportional),
            (TextStyle::Monospace, 12.0, FontFamily::Monospace),
        ];
        style.text_styles = sizes
            .into_iter()
            .map(|(name, size, family)| (name, FontId::new(size, family)))
            .collect();
        style.spacing.item_spacing = egui::vec2(8.0, 4.0);
        style.spacing.button_padding = egui::vec2(8.0, 3.0);
        style.spacing.combo_width = 96.0;
        // Always seen: what does not fit must show that it goes on.
        style.spacing.scroll = egui::style::ScrollStyle::thin();
    });
    for (theme, mut visuals) in [(Theme::Dark, Visuals::dark()), (Theme::Light, Visuals::light())] {
        let tokens = if theme == Theme::Dark { &DARK } else { &LIGHT };
        visuals.error_fg_color = tokens.error;
        visuals.warn_fg_color = tokens.warning;
        visuals.slider_trailing_fill = true;
        // Text as dark as text should be: egui's greys are too faint on a projector.
        let (text, panel) = match theme {
            Theme::Dark => (Color32::from_gray(0xd4), Color32::from_rgb(0x1b, 0x1d, 0x20)),
            Theme::Light => (Color32::from_gray(0x26), Color32::from_rgb(0xf7, 0xf8, 0xf9)),
        };
        visuals.widgets.noninteractive.fg_stroke.color = text;
        visuals.widgets.inactive.fg_stroke.color = text;
        visuals.panel_fill = panel;
        ctx.set_visuals_of(theme, visuals);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lightness(color: Color32) -> u32 {
        u32::from(color.r()) + u32::from(color.g()) + u32::from(color.b())
    }

    /// Eyes that lack one kind of cone, by the waves that it is for; or none.
    #[derive(Debug, Clone, Copy, PartialEq)]
    enum Eyes {
        Long,
        Middle,
        Short,
        All,
    }

    /// As seen by such eyes (Viénot, Brettel and Mollon 1999), in linear light.
    fn seen(color: Color32, lacking: Eyes) -> [f64; 3] {
        let linear = |c: u8| {
            let c = f64::from(c) / 255.0;
            if c <= 0.04045 {
                c / 12.92
            } else {
                ((c + 0.055) / 1.055).powf(2.4)
            }
        };
        let [r, g, b] = [color.r(), color.g(), color.b()].map(linear);
        let (mut long, mut middle, mut short) = (
            17.8824 * r + 43.5161 * g + 4.11935 * b,
            3.45565 * r + 27.1554 * g + 3.86714 * b,
            0.0299566 * r + 0.184309 * g + 1.46709 * b,
        );
        match lacking {
            Eyes::Long => long = 2.02344 * middle - 2.52581 * short,
            Eyes::Middle => middle = 0.494207 * long + 1.24827 * short,
            Eyes::Short => short = -0.395913 * long + 0.801109 * middle,
            Eyes::All => {}
        }
        let rgb = [
            0.0809444479 * long - 0.130504409 * middle + 0.116721066 * short,
            -0.0102485335 * long + 0.0540193266 * middle - 0.113614708 * short,
            -0.000365296938 * long - 0.00412161469 * middle + 0.693511405 * short,
        ];
        // Cube roots are near to how differences are seen.
        rgb.map(|c| c.clamp(0.0, 1.0).cbrt())
    }

    fn distance(a: Color32, b: Color32, eyes: Eyes) -> f64 {
        let (one, other) = (seen(a, eyes), seen(b, eyes));
        one.iter().zip(other).map(|(x, y)| (x - y).powi(2)).sum::<f64>().sqrt()
    }

    /// How far two colours are from each other for the two common kinds of colour blindness, where they are nearer.
    fn least_distance(a: Color32, b: Color32) -> f64 {
        distance(a, b, Eyes::Long).min(distance(a, b, Eyes::Middle))
    }

    #[test]
    fn meanings_that_could_be_mistaken_for_each_other_never_share_a_colour() {
        for tokens in [&DARK, &LIGHT] {
            let meanings = [
                ("clipped", tokens.clipped),
                ("beyond σ", tokens.outlier),
                ("error", tokens.error),
                ("changed", tokens.changed),
                ("side B", tokens.token(Token::SideB)),
            ];
            for (i, (name, color)) in meanings.iter().enumerate() {
                for (other_name, other) in &meanings[..i] {
                    // Without the cones for short waves, which is rare, they may be nearer.
                    for (eyes, least) in [
                        (Eyes::Long, 0.14),
                        (Eyes::Middle, 0.14),
                        (Eyes::Short, 0.09),
                        (Eyes::All, 0.14),
                    ] {
                        let distance = distance(*color, *other, eyes);
                        let dark = tokens.dark;
                        assert!(
                            distance > least,
                            "{name}, {other_name}: {distance}, {eyes:?}, dark {dark}"
                        );
                    }
                }
            }
            // Two sides that are compared lie over each other.
            assert!(least_distance(tokens.token(Token::SideA), tokens.token(Token::SideB)) > 0.2);
        }
    }

    #[test]
    fn a_doubt_has_a_colour_of_its_own() {
        for tokens in [&DARK, &LIGHT] {
            let mut others = (0..4).map(|rank| tokens.channel(rank)).collect::<Vec<Color32>>();
            others.extend([tokens.original, tokens.quantized, tokens.outlier, tokens.split]);
            others.extend([tokens.clipped, tokens.error, tokens.changed]);
            for other in others {
                let distance = least_distance(tokens.warning, other);
                assert!(distance > 0.15, "{other:?}: {distance}, dark {}", tokens.dark);
            }
        }
    }

    #[test]
    fn surer_answers_have_a_colour_of_their_own_far_from_that_of_doubtful_ones() {
        for tokens in [&DARK, &LIGHT] {
            let mut others = (0..4).map(|rank| tokens.channel(rank)).collect::<Vec<Color32>>();
            others.extend([tokens.original, tokens.quantized, tokens.outlier, tokens.split]);
            others.extend([tokens.clipped, tokens.error, tokens.warning, tokens.handle]);
            for other in others {
                let distance = least_distance(tokens.surer, other);
                assert!(distance > 0.2, "{other:?}: {distance}, dark {}", tokens.dark);
            }
            assert!(least_distance(tokens.surer, tokens.changed) > 0.3);
        }
    }

    #[test]
    fn colours_of_channels_stay_apart_for_colour_blind_eyes() {
        for tokens in [&DARK, &LIGHT] {
            let mut colors = (0..4).map(|rank| tokens.channel(rank)).collect::<Vec<Color32>>();
            colors.extend([tokens.original, tokens.quantized, tokens.outlier]);
            for (i, a) in colors.iter().enumerate() {
                for b in &colors[..i] {
                    let distance = least_distance(*a, *b);
                    assert!(distance > 0.11, "{a:?} {b:?}: {distance}");
                }
            }
        }
    }

    /// The scale of costs is read by its lightness, which no kind of eyes loses: it runs one way only, in steps that can be seen.
    #[test]
    fn the_scale_of_costs_runs_one_way_for_all_eyes() {
        for tokens in [&DARK, &LIGHT] {
            for eyes in [Eyes::Long, Eyes::Middle, Eyes::Short, Eyes::All] {
                // Lightness is the cube root of the luminance (Rec. 709).
                let light = |share: f64| {
                    let [r, g, b] = seen(tokens.cost(share), eyes).map(|root| root.powi(3));
                    (0.2126 * r + 0.7152 * g + 0.0722 * b).cbrt()
                };
                let steps: Vec<f64> = (0..=10).map(|tenth| light(f64::from(tenth) / 10.0)).collect();
                let rises = tokens.dark;
                for (tenth, pair) in steps.windows(2).enumerate() {
                    let step = if rises { pair[1] - pair[0] } else { pair[0] - pair[1] };
                    assert!(step > 0.03, "{eyes:?}, {tenth}: {step}, dark {rises}");
                }
                assert!((steps[10] - steps[0]).abs() > 0.4, "{eyes:?}: {steps:?}");
            }
        }
    }

    #[test]
    fn a_bad_layer_stands_out_in_both_themes() {
        assert!(lightness(DARK.sqnr(3.0)) > lightness(DARK.sqnr(40.0)));
        assert!(lightness(LIGHT.sqnr(3.0)) < lightness(LIGHT.sqnr(40.0)));
        assert_eq!(LIGHT.sqnr(f64::INFINITY), LIGHT.sqnr(100.0));
    }
}
