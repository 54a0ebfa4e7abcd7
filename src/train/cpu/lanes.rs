//! Vectors of `f32` in registers, for the kernels whose speed depends on register allocation.
#![expect(unsafe_code, reason = "loads and stores through pointers, vector instructions")]

/// A register of values.
///
/// # Safety
///
/// Every method must be called only where the instructions of the type exist; those that take a
/// pointer, only if it is valid for `LEN` values (`count` values for the partial ones).
pub unsafe trait Lanes: Copy {
    /// Values in a register.
    const LEN: usize;
    /// Heights of the tiles of [`super::tile`], largest first; the last is 1.
    const TILES: &'static [usize];

    /// All values equal.
    unsafe fn splat(value: f32) -> Self;
    /// `LEN` values from memory.
    unsafe fn load(from: *const f32) -> Self;
    /// `count < LEN` values from memory, zeros after them.
    unsafe fn load_first(from: *const f32, count: usize) -> Self;
    /// `self + other`.
    unsafe fn add(self, other: Self) -> Self;
    /// `self - other`.
    unsafe fn sub(self, other: Self) -> Self;
    /// `self * a + b`.
    unsafe fn mul_add(self, a: Self, b: Self) -> Self;
    /// `LEN` values to memory.
    unsafe fn store(self, to: *mut f32);
    /// The first `count < LEN` values to memory.
    unsafe fn store_first(self, to: *mut f32, count: usize);
}

/// Eight values without special instructions.
#[derive(Clone, Copy)]
pub struct Plain([f32; 8]);

// SAFETY: no special instructions are used.
unsafe impl Lanes for Plain {
    const LEN: usize = 8;
    const TILES: &'static [usize] = &[4, 2, 1];

    #[inline(always)]
    unsafe fn splat(value: f32) -> Self {
        Plain([value; 8])
    }

    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: the caller's pointer is valid for 8 values.
        Plain(unsafe { from.cast::<[f32; 8]>().read_unaligned() })
    }

    #[inline(always)]
    unsafe fn load_first(from: *const f32, count: usize) -> Self {
        let mut all = [0.0; 8];
        // SAFETY: the caller's pointer is valid for `count` values.
        unsafe { std::ptr::copy_nonoverlapping(from, all.as_mut_ptr(), count) };
        Plain(all)
    }

    #[inline(always)]
    unsafe fn add(self, other: Self) -> Self {
        Plain(std::array::from_fn(|i| self.0[i] + other.0[i]))
    }

    #[inline(always)]
    unsafe fn sub(self, other: Self) -> Self {
        Plain(std::array::from_fn(|i| self.0[i] - other.0[i]))
    }

    #[inline(always)]
    unsafe fn mul_add(self, a: Self, b: Self) -> Self {
        Plain(std::array::from_fn(|i| self.0[i] * a.0[i] + b.0[i]))
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        // SAFETY: the caller's pointer is valid for 8 values.
        unsafe { to.cast::<[f32; 8]>().write_unaligned(self.0) };
    }

    #[inline(always)]
    unsafe fn store_first(self, to: *mut f32, count: usize) {
        // SAFETY: the caller's pointer is valid for `count` values.
        unsafe { std::ptr::copy_nonoverlapping(self.0.as_ptr(), to, count) };
    }
}

#[cfg(target_arch = "x86_64")]
pub use x86::Avx2;
#[cfg(target_arch = "x86_64")]
pub use x86::Avx512;

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;

    use super::Lanes;

    /// Sixteen values; AVX-512F.
    #[derive(Clone, Copy)]
    pub struct Avx512(__m512);

    // SAFETY: the trait's contract is handed on to the instructions.
    unsafe impl Lanes for Avx512 {
        const LEN: usize = 16;
        const TILES: &'static [usize] = &[12, 8, 4, 2, 1];

        #[inline(always)]
        unsafe fn splat(value: f32) -> Self {
            unsafe { Avx512(_mm512_set1_ps(value)) }
        }

        #[inline(always)]
        unsafe fn load(from: *const f32) -> Self {
            unsafe { Avx512(_mm512_loadu_ps(from)) }
        }

        #[inline(always)]
        unsafe fn load_first(from: *const f32, count: usize) -> Self {
            unsafe { Avx512(_mm512_maskz_loadu_ps((1 << count) - 1, from)) }
        }

        #[inline(always)]
        unsafe fn add(self, other: Self) -> Self {
            unsafe { Avx512(_mm512_add_ps(self.0, other.0)) }
        }

        #[inline(always)]
        unsafe fn sub(self, other: Self) -> Self {
            unsafe { Avx512(_mm512_sub_ps(self.0, other.0)) }
        }

        #[inline(always)]
        unsafe fn mul_add(self, a: Self, b: Self) -> Self {
            unsafe { Avx512(_mm512_fmadd_ps(self.0, a.0, b.0)) }
        }

        #[inline(always)]
        unsafe fn store(self, to: *mut f32) {
            unsafe { _mm512_storeu_ps(to, self.0) }
        }

        #[inline(always)]
        unsafe fn store_first(self, to: *mut f32, count: usize) {
            unsafe { _mm512_mask_storeu_ps(to, (1 << count) - 1, self.0) }
        }
    }

    /// Eight values; AVX2 and FMA.
    #[derive(Clone, Copy)]
    pub struct Avx2(__m256);

    impl Avx2 {
        #[inline(always)]
        unsafe fn first(count: usize) -> __m256i {
            unsafe {
                let index = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
                _mm256_cmpgt_epi32(_mm256_set1_epi32(count as i32), index)
            }
        }
    }

    // SAFETY: the trait's contract is handed on to the instructions.
    unsafe impl Lanes for Avx2 {
        const LEN: usize = 8;
        const TILES: &'static [usize] = &[6, 4, 2, 1];

        #[inline(always)]
        unsafe fn splat(value: f32) -> Self {
            unsafe { Avx2(_mm256_set1_ps(value)) }
        }

        #[inline(always)]
        unsafe fn load(from: *const f32) -> Self {
            unsafe { Avx2(_mm256_loadu_ps(from)) }
        }

        #[inline(always)]
        unsafe fn load_first(from: *const f32, count: usize) -> Self {
            unsafe { Avx2(_mm256_maskload_ps(from, Self::first(count))) }
        }

        #[inline(always)]
        unsafe fn add(self, other: Self) -> Self {
            unsafe { Avx2(_mm256_add_ps(self.0, other.0)) }
        }

        #[inline(always)]
        unsafe fn sub(self, other: Self) -> Self {
            unsafe { Avx2(_mm256_sub_ps(self.0, other.0)) }
        }

        #[inline(always)]
        unsafe fn mul_add(self, a: Self, b: Self) -> Self {
            unsafe { Avx2(_mm256_fmadd_ps(self.0, a.0, b.0)) }
        }

        #[inline(always)]
        unsafe fn store(self, to: *mut f32) {
            unsafe { _mm256_storeu_ps(to, self.0) }
        }

        #[inline(always)]
        unsafe fn store_first(self, to: *mut f32, count: usize) {
            unsafe { _mm256_maskstore_ps(to, Self::first(count), self.0) }
        }
    }
}
