//! The frame under judgement, as the kernel and the host both can offer it.

/// Access to one frame. Offsets count from the first byte of the Ethernet header.
///
/// A failed access changes nothing. What [`Frame::view`] lent ends before the next call, so that no borrow survives
/// [`Frame::resize`], after which the kernel's packet pointers are void.
pub trait Frame {
    /// The length in bytes, over all buffers the frame may be spread over.
    fn len(&self) -> usize;

    /// Whether the frame has no bytes at all.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The VLAN identifier of the outer tag, if the kernel took the tag out of the frame before the program saw it: then the
    /// bytes begin behind it. In the driver nobody has.
    #[inline(always)]
    fn stripped_vlan(&self) -> Option<u16> {
        None
    }

    /// Lends `N` bytes of the frame in place, if they are all there.
    fn view<const N: usize>(&mut self, offset: usize) -> Option<&mut [u8; N]>;

    /// Grows (with unspecified bytes) or shrinks the frame at its end. `None` if the driver refuses.
    fn resize(&mut self, delta: i32) -> Option<()>;
}
