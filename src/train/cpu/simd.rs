//! Which vector instructions this machine has, and code compiled for each of them.

/// Vector instructions, widest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// AVX-512 (F, BW, DQ, VL) and FMA.
    Avx512,
    /// AVX2 and FMA.
    Avx2,
    /// What every processor of this architecture has.
    Baseline,
}

/// A level that this machine is known to have, which makes calling its code sound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Simd(Level);

impl Simd {
    /// The widest level of this machine.
    pub fn detect() -> Self {
        #[cfg(target_arch = "x86_64")]
        {
            let has_fma = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
            let has_512 = is_x86_feature_detected!("avx512f")
                && is_x86_feature_detected!("avx512bw")
                && is_x86_feature_detected!("avx512dq")
                && is_x86_feature_detected!("avx512vl");
            match (has_fma, has_512) {
                (true, true) => return Simd(Level::Avx512),
                (true, false) => return Simd(Level::Avx2),
                (false, _) => {}
            }
        }
        Simd(Level::Baseline)
    }

    /// The widest level of this machine that is not wider than `limit`.
    pub fn at_most(limit: Level) -> Self {
        Simd(Simd::detect().0.max(limit))
    }

    /// The level.
    pub fn level(self) -> Level {
        self.0
    }
}

/// Defines a function whose body is compiled for every [`Level`]; the first argument chooses.
macro_rules! dispatched {
    (
        $(#[$meta:meta])*
        $vis:vis fn $name:ident($($arg:ident: $ty:ty),* $(,)?) $(-> $ret:ty)? $body:block
    ) => {
        $(#[$meta])*
        #[expect(unsafe_code, reason = "calls code compiled for a level that the machine has")]
        $vis fn $name(simd: $crate::train::cpu::simd::Simd, $($arg: $ty),*) $(-> $ret)? {
            #[inline(always)]
            fn body($($arg: $ty),*) $(-> $ret)? $body

            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]
            fn avx512($($arg: $ty),*) $(-> $ret)? {
                body($($arg),*)
            }

            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2,fma")]
            fn avx2($($arg: $ty),*) $(-> $ret)? {
                body($($arg),*)
            }

            match simd.level() {
                #[cfg(target_arch = "x86_64")]
                // SAFETY: a `Simd` of this level exists only where the features were detected.
                $crate::train::cpu::simd::Level::Avx512 => unsafe { avx512($($arg),*) },
                #[cfg(target_arch = "x86_64")]
                // SAFETY: as above.
                $crate::train::cpu::simd::Level::Avx2 => unsafe { avx2($($arg),*) },
                #[cfg(target_arch = "x86_64")]
                $crate::train::cpu::simd::Level::Baseline => body($($arg),*),
                #[cfg(not(target_arch = "x86_64"))]
                _ => body($($arg),*),
            }
        }
    };
}

pub(crate) use dispatched;
