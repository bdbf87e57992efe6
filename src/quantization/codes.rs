//! The integers of a quantized weight.

use crate::files::{self, Spool};
use bytes::Bytes;
use std::ops::Deref;

/// Codes on a grid, a byte each, which copies share. They are a slice of `i8` to whoever reads them.
///
/// ```
/// # use splitscope::quantization::Codes;
/// let codes = Codes::from(vec![-8, 0, 7]);
/// assert_eq!(codes.iter().max(), Some(&7));
/// assert_eq!(&codes[..2], [-8, 0]);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Codes(Bytes);

impl Codes {
    /// Their bytes, as an INT8 tensor holds them.
    pub fn bytes(&self) -> &Bytes {
        &self.0
    }

    /// The same codes, in the file of `spool`.
    pub fn kept_in(self, spool: &Spool) -> Self {
        Self(spool.keep(self.0))
    }

    /// Gives back the memory that they take, if they are kept in a file.
    pub fn release(&self) {
        files::release(&self.0);
    }
}

impl Deref for Codes {
    type Target = [i8];

    fn deref(&self) -> &[i8] {
        bytemuck::cast_slice(&self.0)
    }
}

impl From<Vec<i8>> for Codes {
    fn from(codes: Vec<i8>) -> Self {
        Self(bytemuck::cast_vec::<i8, u8>(codes).into())
    }
}

impl PartialEq<Codes> for Vec<i8> {
    fn eq(&self, codes: &Codes) -> bool {
        self[..] == codes[..]
    }
}

impl PartialEq<&[i8]> for Codes {
    fn eq(&self, codes: &&[i8]) -> bool {
        self[..] == **codes
    }
}

impl PartialEq<Vec<i8>> for Codes {
    fn eq(&self, codes: &Vec<i8>) -> bool {
        self[..] == codes[..]
    }
}
