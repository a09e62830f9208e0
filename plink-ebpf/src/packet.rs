//! A frame in the kernel: the one place where packet memory is touched.

use core::arch::asm;

use aya_ebpf::{
    bindings::xdp_md,
    helpers::{bpf_xdp_adjust_tail, bpf_xdp_get_buff_len},
    programs::XdpContext,
};
use plink_common::{datapath::Packet, wire::Header};

/// The frame of one program run.
pub struct XdpPacket<'a> {
    context: &'a XdpContext,
}

impl<'a> XdpPacket<'a> {
    #[inline(always)]
    pub fn new(context: &'a XdpContext) -> Self {
        Self { context }
    }

    /// Bytes of the frame's linear part.
    #[inline(always)]
    #[allow(dead_code, reason = "only the benchmark's programs ask")]
    pub fn linear_length(&self) -> usize {
        self.end() - self.start()
    }

    /// `xdp_md.data`: a pointer, to the verifier.
    ///
    /// Loaded by hand: the field is declared as 32 bits wide, from which the compiler concludes that the upper half of
    /// the sum with an offset is zero, computes it with 32-bit moves, and the verifier no longer sees a pointer.
    #[inline(always)]
    fn start(&self) -> usize {
        let start: usize;
        // SAFETY: reads the context's first word.
        unsafe {
            asm!("{0} = *(u32 *)({1} + 0)", out(reg) start, in(reg) self.context.ctx, options(pure, readonly, nostack));
        }
        start
    }

    /// `xdp_md.data_end`, likewise.
    #[inline(always)]
    fn end(&self) -> usize {
        let end: usize;
        // SAFETY: reads the context's second word.
        unsafe {
            asm!("{0} = *(u32 *)({1} + 4)", out(reg) end, in(reg) self.context.ctx, options(pure, readonly, nostack));
        }
        end
    }

    /// The comparison that the verifier has to see: `data + offset + size <= data_end`.
    #[inline(always)]
    fn pointer<T>(&self, offset: usize) -> Option<*mut T> {
        let start = self.start() + offset;
        (start + size_of::<T>() <= self.end()).then_some(start as *mut T)
    }
}

impl Packet for XdpPacket<'_> {
    #[inline(always)]
    fn at<T: Header>(&self, offset: usize) -> Option<&T> {
        // SAFETY: the bytes lie between data and data_end; any bytes are a `T`; frames start at an even address and
        // headers at even offsets, and no header is aligned to more than two; the reference cannot outlive `self`,
        // and whatever changes the frame or its bounds takes `self` exclusively.
        self.pointer::<T>(offset).map(|pointer| unsafe { &*pointer })
    }

    #[inline(always)]
    fn at_mut<T: Header>(&mut self, offset: usize) -> Option<&mut T> {
        // SAFETY: as in `at`; the frame belongs to this program run alone.
        self.pointer::<T>(offset).map(|pointer| unsafe { &mut *pointer })
    }

    #[inline(always)]
    fn resize(&mut self, length: usize) -> Option<()> {
        let context: *mut xdp_md = self.context.ctx;
        // SAFETY: the context is the one the kernel passed in. The length counts the fragments too.
        let current = unsafe { bpf_xdp_get_buff_len(context) };
        // SAFETY: as above. All pointers into the frame are taken anew after this: `at` reads the bounds each time.
        let failed = unsafe { bpf_xdp_adjust_tail(context, length as i32 - current as i32) };
        (failed == 0).then_some(())
    }
}
