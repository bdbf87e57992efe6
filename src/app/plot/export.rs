//! The menu of a plot: its data and its picture copied or saved, its drawing saved. One place for all views.

use super::figure::Figure;
use crate::app::Outbox;
use crate::app::dialogs::{Dialogs, Purpose};
use crate::session::{Action, Contents, Session};
use egui::{ColorImage, Context, Rect, Response, Role, Ui, ViewportCommand, WidgetInfo, vec2};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, TryRecvError, channel};

/// Kinds of files that a plot is saved as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::app) enum FigureFile {
    Csv,
    Svg,
    Png,
}

impl FigureFile {
    /// The end of the file's name, without the dot.
    pub(in crate::app) fn extension(self) -> &'static str {
        match self {
            Self::Csv => "csv",
            Self::Svg => "svg",
            Self::Png => "png",
        }
    }
}

/// Where a plot goes, and as what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wanted {
    /// Its numbers, on the clipboard.
    Data,
    /// Its picture, on the clipboard.
    Picture,
    File(FigureFile),
}

/// What a person asks of a plot.
pub(in crate::app) struct FigureRequest {
    wanted: Wanted,
    figure: Figure,
    /// Where the plot is on the screen, with its axes.
    rect: Rect,
}

/// Points that the axes take left of a plot and below it.
const AXES: egui::Vec2 = vec2(72.0, 38.0);

/// Gives a plot its menu, on a click with the right button. `name` is what screen readers call the plot; `figure` is made when
/// something is asked for.
pub(in crate::app) fn figure_menu(
    ui: &Ui,
    response: &Response,
    name: &str,
    out: &mut Outbox,
    figure: impl FnOnce() -> Figure,
) {
    response.widget_info(|| WidgetInfo::labeled(Role::GraphicsObject, true, name));
    let rect = Rect::from_min_max(
        response.rect.min - vec2(AXES.x, 6.0),
        response.rect.max + vec2(8.0, AXES.y),
    );
    menu(response, rect.intersect(ui.clip_rect()), out, figure);
}

/// The menu alone, on a click on `response`, for a picture that lies in `rect`.
pub(in crate::app) fn menu(response: &Response, rect: Rect, out: &mut Outbox, figure: impl FnOnce() -> Figure) {
    let entries = [
        (
            Wanted::Picture,
            "Copy picture",
            "Put the plot on the clipboard, as it is on the screen.",
        ),
        (
            Wanted::Data,
            "Copy data",
            "Put the plot's numbers on the clipboard, as CSV.",
        ),
        (
            Wanted::File(FigureFile::Csv),
            "Save data (CSV)…",
            "Write the plot's numbers into a file.",
        ),
        (
            Wanted::File(FigureFile::Png),
            "Save picture (PNG)…",
            "Write the plot as it is on the screen.",
        ),
        (
            Wanted::File(FigureFile::Svg),
            "Save drawing (SVG)…",
            "Write the plot as a drawing that can be enlarged and edited.",
        ),
    ];
    let mut asked = None;
    response.context_menu(|ui| {
        for (wanted, text, what) in entries {
            if ui.button(text).on_hover_text(what).clicked() {
                asked = Some(wanted);
                ui.close();
            }
        }
    });
    if let Some(wanted) = asked {
        out.figures.push(FigureRequest {
            wanted,
            figure: figure(),
            rect,
        });
    }
}

/// A picture of the window that is about to be taken.
struct Capture {
    /// The file to write; the clipboard without one.
    path: Option<PathBuf>,
    rect: Rect,
    /// Frames until then: the menu and the dialog must be gone.
    frames: u32,
    tooltip_delay: f32,
}

/// Carries out what is asked of plots.
#[derive(Default)]
pub(in crate::app) struct Exporter {
    /// Waits for its path.
    asked: Option<FigureRequest>,
    capture: Option<Capture>,
    /// The window's picture, its pixels for each point, and what is wanted of it.
    taken: Option<(Receiver<Arc<ColorImage>>, Rect, Option<PathBuf>)>,
}

impl Exporter {
    /// Whether no picture is being taken.
    pub(in crate::app) fn is_idle(&self) -> bool {
        self.capture.is_none() && self.taken.is_none()
    }

    /// Begins what was asked for: copies at once, or asks for a path.
    pub(in crate::app) fn begin(&mut self, ctx: &Context, request: FigureRequest, dialogs: &mut Dialogs) {
        let file = match request.wanted {
            Wanted::Data => return ctx.copy_text(request.figure.csv()),
            Wanted::Picture => return self.start_capture(ctx, request.rect, None),
            Wanted::File(file) => file,
        };
        let name = format!("{}.{}", request.figure.file_stem(), file.extension());
        self.asked = Some(request);
        dialogs.ask(ctx, Purpose::Figure(file), &name);
    }

    /// The path that a person gave.
    pub(in crate::app) fn take_path(&mut self, ctx: &Context, path: PathBuf, session: &mut Session) {
        let Some(FigureRequest { wanted, figure, rect }) = self.asked.take() else {
            return;
        };
        match wanted {
            Wanted::File(FigureFile::Csv) => {
                write(session, path, move || Ok(figure.csv().into_bytes()));
            }
            Wanted::File(FigureFile::Svg) => {
                write(session, path, move || Ok(figure.svg().into_bytes()));
            }
            Wanted::File(FigureFile::Png) => self.start_capture(ctx, rect, Some(path)),
            Wanted::Data | Wanted::Picture => {}
        }
    }

    fn start_capture(&mut self, ctx: &Context, rect: Rect, path: Option<PathBuf>) {
        if self.capture.is_some() {
            return;
        }
        let tooltip_delay = ctx.global_style().interaction.tooltip_delay;
        ctx.all_styles_mut(|style| style.interaction.tooltip_delay = f32::INFINITY);
        self.capture = Some(Capture {
            path,
            rect,
            frames: 3,
            tooltip_delay,
        });
        ctx.request_repaint();
    }

    /// Once a frame: takes pictures that are due.
    pub(in crate::app) fn advance(&mut self, ctx: &Context, session: &mut Session) {
        self.capture(ctx);
        if let Some((receiver, rect, path)) = self.taken.take() {
            let scale = ctx.pixels_per_point();
            match (receiver.try_recv(), path) {
                (Ok(picture), Some(path)) => write(session, path, move || png(&picture, rect, scale)),
                (Ok(picture), None) => match cut(&picture, rect, scale) {
                    Ok(part) => {
                        ctx.copy_image(part);
                        session.act(Action::Note("Copied the picture of the plot".to_owned()));
                    }
                    Err(error) => session.act(Action::Report(error.to_string())),
                },
                (Err(TryRecvError::Empty), path) => self.taken = Some((receiver, rect, path)),
                (Err(TryRecvError::Disconnected), path) => {
                    let fault = "the window system gave no picture of the window; the drawing (SVG) can be saved";
                    let what = path.map_or_else(
                        || "Copying the picture".to_owned(),
                        |path| format!("Writing {}", path.display()),
                    );
                    session.act(Action::Report(format!("{what}: {fault}")));
                }
            }
        }
    }

    fn capture(&mut self, ctx: &Context) {
        let Some(capture) = &mut self.capture else { return };
        ctx.request_repaint();
        if capture.frames > 0 {
            capture.frames -= 1;
            return;
        }
        let (sender, receiver) = channel();
        let waker = ctx.clone();
        ctx.send_viewport_cmd(ViewportCommand::Screenshot(egui::ScreenshotCallback::new(
            move |image| {
                // The window may be closing; then nobody waits.
                let _ = sender.send(image);
                waker.request_repaint();
            },
        )));
        if let Some(capture) = self.capture.take() {
            let delay = capture.tooltip_delay;
            ctx.all_styles_mut(|style| style.interaction.tooltip_delay = delay);
            self.taken = Some((receiver, capture.rect, capture.path));
        }
    }
}

fn write(
    session: &mut Session,
    path: PathBuf,
    contents: impl Fn() -> Result<Vec<u8>, NoPicture> + Send + Sync + 'static,
) {
    let contents = Contents::new(contents);
    session.act(Action::Write { path, contents });
}

/// Why a plot is not in a picture.
#[derive(Debug, thiserror::Error)]
enum NoPicture {
    #[error("the plot is not on the screen")]
    OffScreen,
    #[error("the picture has no pixels")]
    NoPixels,
    #[error(transparent)]
    Image(#[from] image::ImageError),
}

/// The part of the window's picture inside `rect` (points).
fn cut(picture: &ColorImage, rect: Rect, pixels_per_point: f32) -> Result<ColorImage, NoPicture> {
    let [width, height] = picture.size;
    let pixel = |point: f32, most: usize| ((point * pixels_per_point).round().max(0.0) as usize).min(most);
    let (left, right) = (pixel(rect.min.x, width), pixel(rect.max.x, width));
    let (top, bottom) = (pixel(rect.min.y, height), pixel(rect.max.y, height));
    if left >= right || top >= bottom {
        return Err(NoPicture::OffScreen);
    }
    Ok(picture.region_by_pixels([left, top], [right - left, bottom - top]))
}

/// That part as PNG.
fn png(picture: &ColorImage, rect: Rect, pixels_per_point: f32) -> Result<Vec<u8>, NoPicture> {
    let part = cut(picture, rect, pixels_per_point)?;
    let [width, height] = part.size;
    let bytes: Vec<u8> = part.pixels.iter().flat_map(egui::Color32::to_array).collect();
    let image = image::RgbaImage::from_raw(width as u32, height as u32, bytes).ok_or(NoPicture::NoPixels)?;
    let mut file = std::io::Cursor::new(Vec::new());
    image.write_to(&mut file, image::ImageFormat::Png)?;
    Ok(file.into_inner())
}

#[cfg(test)]
mod tests {
    use super::*;
    use egui::{Color32, pos2};

    #[test]
    fn a_picture_is_cut_to_the_plot_and_to_the_window() {
        let mut picture = ColorImage::filled([20, 10], Color32::BLACK);
        picture.pixels[4 * 20 + 6] = Color32::RED;
        let rect = Rect::from_min_max(pos2(3.0, 2.0), pos2(500.0, 4.0));
        let read = image::load_from_memory(&png(&picture, rect, 2.0).unwrap())
            .unwrap()
            .into_rgba8();
        assert_eq!(read.dimensions(), (14, 4));
        assert_eq!(read.get_pixel(0, 0).0, [255, 0, 0, 255]);
        let outside = Rect::from_min_max(pos2(30.0, 2.0), pos2(40.0, 4.0));
        assert!(png(&picture, outside, 2.0).is_err());
    }
}
