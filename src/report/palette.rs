//! The colours of what is drawn, on a dark and on a light ground; the window and the report take them from here.
//!
//! One colour, one meaning. The meanings take the palette of Okabe and Ito (2008), which stays apart for colour-blind eyes.

/// Red, green, blue.
pub type Rgb = [u8; 3];

/// A meaning that has a colour, for what is drawn on more than one ground.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Token {
    /// Float, original, before.
    Original,
    /// Quantized, after.
    Quantized,
    /// An outlier.
    Outlier,
    /// A channel that was split.
    Split,
    /// What is clipped.
    Clipped,
    /// The values of the grid.
    Grid,
    /// A line that marks the present choice.
    Handle,
    /// The first of two sides that are compared.
    SideA,
    /// The second one.
    SideB,
    /// A curve without a meaning of its own, by its place.
    Series(usize),
    /// The channel whose largest value has that rank.
    Channel(usize),
}

impl Token {
    /// Its name as a variable of a page.
    pub fn variable(self) -> &'static str {
        match self {
            Self::Original => "original",
            Self::Quantized => "quantized",
            Self::Outlier => "outlier",
            Self::Split => "split",
            Self::Clipped => "clipped",
            Self::Grid => "grid",
            Self::Handle => "handle",
            Self::SideA => SERIES[SIDE_A],
            Self::SideB => "side-b",
            Self::Series(place) => SERIES[place % SERIES.len()],
            Self::Channel(rank) => CHANNELS[rank % CHANNELS.len()],
        }
    }
}

/// The meanings that have a colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Palette {
    /// Float, original, before.
    pub original: Rgb,
    /// Quantized, after.
    pub quantized: Rgb,
    /// An outlier.
    pub outlier: Rgb,
    /// A channel that was split.
    pub split: Rgb,
    /// What is clipped.
    pub clipped: Rgb,
    /// The values of the grid.
    pub grid: Rgb,
    /// A line that marks the present choice.
    pub handle: Rgb,
    /// A failure.
    pub error: Rgb,
    /// A prediction that the recipe changes.
    pub changed: Rgb,
    /// The second of two sides that are compared; the first has the second colour of [`Palette::series`].
    pub side_b: Rgb,
    /// Curves that stand side by side and have no meaning of their own: the palette in its order, black left out.
    pub series: [Rgb; 7],
    /// The channels with the largest values, largest first.
    pub channels: [Rgb; 4],
    /// The bad and the good end of the error scale. Bad stands out: dark on light, bright on dark.
    pub sqnr: [Rgb; 2],
    /// Text.
    pub text: Rgb,
    /// The ground.
    pub ground: Rgb,
}

/// On a dark ground.
pub const DARK: Palette = Palette {
    original: [0x8d, 0x9b, 0xad],
    quantized: [0x3d, 0x9b, 0xe0],
    outlier: [0xea, 0x6b, 0x1b],
    split: [0x1f, 0xc2, 0x93],
    clipped: [0xfe, 0xd3, 0x30],
    grid: [0x70, 0x74, 0x7a],
    handle: [0xe6, 0xe8, 0xea],
    error: [0xf7, 0x99, 0x9c],
    changed: [0xd0, 0x4e, 0xc1],
    side_b: [0x7e, 0x48, 0xe2],
    series: [
        [0xa9, 0xb4, 0xc2],
        [0x56, 0xb4, 0xe9],
        [0xe6, 0x9f, 0x00],
        [0xd5, 0x7b, 0x33],
        [0x1f, 0xc2, 0x93],
        [0xe2, 0x8f, 0xbc],
        [0xf0, 0xe4, 0x42],
    ],
    channels: [
        [0xff, 0xe2, 0x4d],
        [0x78, 0x28, 0xfc],
        [0xb0, 0x3a, 0x8a],
        [0x9a, 0x6b, 0x3f],
    ],
    sqnr: [[0xf3, 0xb7, 0xe4], [0x3a, 0x30, 0x4a]],
    text: [0xd4, 0xd4, 0xd4],
    ground: [0x1b, 0x1d, 0x20],
};

/// On a light ground.
pub const LIGHT: Palette = Palette {
    original: [0x7a, 0x8a, 0x9e],
    quantized: [0x00, 0x72, 0xb2],
    outlier: [0xce, 0x51, 0x03],
    split: [0x00, 0x8a, 0x64],
    clipped: [0xe0, 0x99, 0x21],
    grid: [0xa8, 0xac, 0xb2],
    handle: [0x22, 0x26, 0x2b],
    error: [0x91, 0x1b, 0x1a],
    changed: [0xab, 0x3f, 0x94],
    side_b: [0x56, 0x24, 0x97],
    series: [
        [0x5a, 0x68, 0x78],
        [0x00, 0x72, 0xb2],
        [0xb8, 0x7a, 0x00],
        [0xd5, 0x5e, 0x00],
        [0x00, 0x8a, 0x64],
        [0xb0, 0x4f, 0x84],
        [0x8a, 0x80, 0x00],
    ],
    channels: [
        [0x88, 0x1a, 0x5e],
        [0xf8, 0xb8, 0xfc],
        [0xc2, 0xae, 0x00],
        [0x5c, 0x3a, 0x1e],
    ],
    sqnr: [[0x5e, 0x12, 0x68], [0xe6, 0xd9, 0xec]],
    text: [0x26, 0x26, 0x26],
    ground: [0xf7, 0xf8, 0xf9],
};

/// Names of [`Palette::series`] as variables of a page.
pub const SERIES: [&str; 7] = [
    "series-0", "series-1", "series-2", "series-3", "series-4", "series-5", "series-6",
];

/// Place of the first of two sides among the curves.
const SIDE_A: usize = 1;

/// Names of [`Palette::channels`].
pub const CHANNELS: [&str; 4] = ["channel-0", "channel-1", "channel-2", "channel-3"];

/// Decibels at the bad and the good end of the error scale.
pub const SQNR_RANGE_DB: (f64, f64) = (3.0, 30.0);

impl Palette {
    /// The colours as CSS variables: `--original: #8d9bad; …`.
    pub fn css(&self) -> String {
        let named = [
            ("original", self.original),
            ("quantized", self.quantized),
            ("outlier", self.outlier),
            ("split", self.split),
            ("clipped", self.clipped),
            ("grid", self.grid),
            ("handle", self.handle),
            ("error", self.error),
            ("changed", self.changed),
            ("side-b", self.side_b),
            ("text", self.text),
            ("ground", self.ground),
            ("rule", mixed(self.ground, self.text, 0.16)),
            ("axis", mixed(self.ground, self.text, 0.7)),
            ("quiet", mixed(self.ground, self.text, 0.72)),
            ("panel", mixed(self.ground, self.text, 0.05)),
        ];
        let series = SERIES.into_iter().zip(self.series);
        let channels = CHANNELS.into_iter().zip(self.channels);
        let line = |(name, color): (&str, Rgb)| format!("--{name}: {};", hex(color));
        named
            .into_iter()
            .chain(series)
            .chain(channels)
            .map(line)
            .collect::<Vec<_>>()
            .join(" ")
    }

    /// The colour of a meaning.
    pub fn color(&self, token: Token) -> Rgb {
        match token {
            Token::Original => self.original,
            Token::Quantized => self.quantized,
            Token::Outlier => self.outlier,
            Token::Split => self.split,
            Token::Clipped => self.clipped,
            Token::Grid => self.grid,
            Token::Handle => self.handle,
            Token::SideA => self.series[SIDE_A],
            Token::SideB => self.side_b,
            Token::Series(place) => self.series[place % self.series.len()],
            Token::Channel(rank) => self.channels[rank % self.channels.len()],
        }
    }

    /// The error scale: one sequential map from bad to good.
    pub fn sqnr(&self, sqnr_db: f64) -> Rgb {
        let (bad, good) = SQNR_RANGE_DB;
        mixed(
            self.sqnr[0],
            self.sqnr[1],
            ((sqnr_db - bad) / (good - bad)).clamp(0.0, 1.0) as f32,
        )
    }
}

/// As CSS writes it.
pub fn hex([red, green, blue]: Rgb) -> String {
    format!("#{red:02x}{green:02x}{blue:02x}")
}

fn mixed(from: Rgb, to: Rgb, share: f32) -> Rgb {
    let mix = |place: usize| (f32::from(from[place]) * (1.0 - share) + f32::from(to[place]) * share).round() as u8;
    [mix(0), mix(1), mix(2)]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Relative luminance (WCAG 2.1).
    fn luminance(color: Rgb) -> f64 {
        let linear = |c: u8| {
            let c = f64::from(c) / 255.0;
            if c <= 0.03928 {
                c / 12.92
            } else {
                ((c + 0.055) / 1.055).powf(2.4)
            }
        };
        0.2126 * linear(color[0]) + 0.7152 * linear(color[1]) + 0.0722 * linear(color[2])
    }

    fn contrast(one: Rgb, other: Rgb) -> f64 {
        let (a, b) = (luminance(one), luminance(other));
        (a.max(b) + 0.05) / (a.min(b) + 0.05)
    }

    /// WCAG 2.1: 4.5 for text, 3 for parts of drawings.
    #[test]
    fn text_and_marks_are_seen_on_both_grounds() {
        for palette in [DARK, LIGHT] {
            assert!(contrast(palette.text, palette.ground) > 4.5);
            assert!(contrast(mixed(palette.ground, palette.text, 0.72), palette.ground) > 4.5);
            for color in [
                palette.original,
                palette.quantized,
                palette.outlier,
                palette.split,
                palette.handle,
            ] {
                assert!(contrast(color, palette.ground) > 3.0, "{}", hex(color));
            }
        }
    }
}
