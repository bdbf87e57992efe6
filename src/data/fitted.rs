//! Pictures that were decoded and brought to their size: kept, so that none is decoded twice.

use super::picture::Picture;
use super::{DatasetError, Pictures};
use std::borrow::Cow;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Pictures kept, bytes: 1700 of 224 x 224 pixels. What goes beyond is decoded again when it is needed again.
const MOST_BYTES: usize = 256 << 20;

/// The pictures of a data set as [`super::preprocess::Preprocess::fit`] gave them.
#[derive(Debug)]
pub(super) struct Fitted {
    places: Vec<OnceLock<Picture>>,
    bytes: AtomicUsize,
    most_bytes: usize,
}

impl Fitted {
    /// Room for the pictures of `pictures`. Pictures that are stored as pixels cost less than they would here.
    pub(super) fn of(pictures: &Pictures) -> Self {
        let places = match pictures {
            Pictures::Files(files) => files.len(),
            Pictures::Stored(_) => 0,
        };
        Self::with_room(places, MOST_BYTES)
    }

    fn with_room(places: usize, most_bytes: usize) -> Self {
        Self {
            places: (0..places).map(|_| OnceLock::new()).collect(),
            bytes: AtomicUsize::new(0),
            most_bytes,
        }
    }

    /// Picture `sample`: kept, or made by `make` and kept if there is room.
    pub(super) fn get(
        &self,
        sample: usize,
        make: impl FnOnce() -> Result<Picture, DatasetError>,
    ) -> Result<Cow<'_, Picture>, DatasetError> {
        let Some(place) = self.places.get(sample) else {
            return make().map(Cow::Owned);
        };
        if let Some(picture) = place.get() {
            return Ok(Cow::Borrowed(picture));
        }
        let picture = make()?;
        let size = picture.pixels.len();
        if self.bytes.fetch_add(size, Ordering::Relaxed) + size > self.most_bytes {
            self.bytes.fetch_sub(size, Ordering::Relaxed);
            return Ok(Cow::Owned(picture));
        }
        Ok(Cow::Borrowed(place.get_or_init(|| picture)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_is_made_once_while_there_is_room() {
        let fitted = Fitted::with_room(4, 8);
        let made = AtomicUsize::new(0);
        let make = || {
            made.fetch_add(1, Ordering::Relaxed);
            Ok(Picture {
                width: 1,
                height: 1,
                channels: 3,
                pixels: vec![0; 3],
            })
        };
        for _ in 0..3 {
            for sample in 0..4 {
                fitted.get(sample, make).unwrap();
            }
        }
        // Two have room in 8 bytes; the other two are made each time.
        assert_eq!(made.load(Ordering::Relaxed), 2 + 3 * 2);
        assert_eq!(fitted.bytes.load(Ordering::Relaxed), 6);
    }
}
