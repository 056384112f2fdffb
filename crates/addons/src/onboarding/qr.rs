//! A QR code (ISO/IEC 18004) as a picture that stands in the page itself.

use qrcodegen::{QrCode, QrCodeEcc};

/// Light modules around it, as many as readers need.
const QUIET: i32 = 4;

/// An SVG of `text`; `None` if that is too long.
pub(super) fn svg(text: &str) -> Option<String> {
    let code = QrCode::encode_text(text, QrCodeEcc::Medium).ok()?;
    let size = code.size() + 2 * QUIET;
    let mut path = String::new();
    for y in 0..code.size() {
        for x in (0..code.size()).filter(|x| code.get_module(*x, y)) {
            path += &format!("M{} {}h1v1h-1z", x + QUIET, y + QUIET);
        }
    }
    Some(format!(
        "<svg class=\"qr\" role=\"img\" aria-label=\"QR code\" viewBox=\"0 0 {size} {size}\" shape-rendering=\"crispEdges\">\
         <path fill=\"#fff\" d=\"M0 0h{size}v{size}H0z\"/><path d=\"{path}\"/></svg>"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_corners_are_marked() {
        let svg = svg("http://10.0.0.1:8080/").unwrap();
        // The outermost module of the three finder patterns, 25 modules to a side.
        for corner in ["M4 4h1v1h-1z", "M28 4h1v1h-1z", "M4 28h1v1h-1z"] {
            assert!(svg.contains(corner), "{svg}");
        }
        assert!(svg.starts_with("<svg") && svg.contains("viewBox=\"0 0 33 33\""));
        assert_eq!(super::svg(&"x".repeat(5000)), None);
    }
}
