//! The view `raw`: the body as text, as UTF-8 whatever it claims to be.

use crate::escape;
use crate::page::{Full, Page};

/// Shows `bytes` as UTF-8; what is not UTF-8 as `\xNN`.
pub(crate) fn render(bytes: &[u8], page: &mut Page) -> Result<(), Full> {
    for chunk in bytes.utf8_chunks() {
        page.push(chunk.valid())?;
        if !chunk.invalid().is_empty() {
            let mut shown = String::new();
            escape::push_hex(&mut shown, chunk.invalid());
            page.push(&shown)?;
        }
    }
    Ok(())
}
