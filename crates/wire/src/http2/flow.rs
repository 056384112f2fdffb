//! Flow-control windows (RFC 9113 sections 5.2 and 6.9).

/// The largest window.
pub(super) const WINDOW_MAX: i64 = 0x7fff_ffff;
/// The window that everything begins with (section 6.9.2).
pub(super) const WINDOW_INITIAL: u32 = 65_535;

/// How much may be sent. Below zero after the peer made its initial window smaller.
#[derive(Clone, Copy, Debug)]
pub(super) struct SendWindow(i64);

impl SendWindow {
    pub(super) fn new(size: u32) -> Self {
        Self(size.into())
    }

    pub(super) fn available(self) -> usize {
        usize::try_from(self.0).unwrap_or(0)
    }

    /// Whether it may be changed by so much.
    #[must_use]
    pub(super) const fn change(&mut self, by: i64) -> bool {
        self.0 += by;
        self.0 <= WINDOW_MAX
    }

    pub(super) fn take(&mut self, bytes: usize) {
        self.0 -= i64::try_from(bytes).unwrap_or(i64::MAX);
    }
}

/// How much the peer may send, and what of it has been consumed but not been given back yet.
#[derive(Clone, Copy, Debug)]
pub(super) struct ReceiveWindow {
    left: i64,
    consumed: u32,
    size: u32,
}

impl ReceiveWindow {
    pub(super) fn new(size: u32) -> Self {
        Self { left: size.into(), consumed: 0, size }
    }

    /// The peer sent so much; `false` if that was more than it may.
    #[must_use]
    pub(super) fn receive(&mut self, bytes: usize) -> bool {
        self.left -= i64::try_from(bytes).unwrap_or(i64::MAX);
        self.left >= 0
    }

    /// So much was consumed; gives the increment that is worth telling the peer, if there is one. Half a window is: less
    /// would be many frames, more would make the peer wait.
    #[must_use]
    pub(super) fn consume(&mut self, bytes: usize) -> Option<u32> {
        self.consumed = self.consumed.saturating_add(u32::try_from(bytes).unwrap_or(u32::MAX));
        if self.consumed == 0 || self.consumed < self.size / 2 {
            return None;
        }
        self.left += i64::from(self.consumed);
        Some(std::mem::take(&mut self.consumed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn send_windows_go_below_zero_and_not_above_the_maximum() {
        let mut window = SendWindow::new(10);
        window.take(10);
        assert!(window.change(-5));
        assert_eq!(window.available(), 0);
        assert!(window.change(6));
        assert_eq!(window.available(), 1);
        assert!(window.change(WINDOW_MAX - 1));
        assert!(!window.change(1));
    }

    #[test]
    fn receive_windows_open_by_halves() {
        let mut window = ReceiveWindow::new(10);
        assert!(window.receive(10));
        assert_eq!(window.consume(0), None);
        assert_eq!(window.consume(4), None);
        assert_eq!(window.consume(1), Some(5));
        assert!(window.receive(5));
        assert!(!window.receive(1));
    }
}
