//! What a profile says against what the device says.
use crate::agent::Facts;
use crate::units::Bytes;

use super::Profile;
use super::runners::plain;

/// Memory that a device has, as a share of what is written on its box: some belongs to the kernel and
/// to the graphics, and 8 GB are 8 GiB.
const MEMORY: std::ops::RangeInclusive<f64> = 0.75..=1.15;

impl Profile {
    /// What the device says otherwise, a sentence each; the profile is probably that of another one.
    pub fn contradicted(&self, facts: &Facts) -> Vec<String> {
        let abi = self.abi.as_deref().filter(|abi| plain(abi) != plain(&facts.arch));
        let abi = abi.map(|abi| format!("the profile says {abi}, the device is {}", facts.arch));
        let cores = self.cores.zip(facts.cores).filter(|(said, found)| *said as usize != *found);
        let cores = cores.map(|(said, found)| {
            format!("the profile says {said} cores, the device lets {found} be used")
        });
        let said = self.memory.as_ref().and_then(|memory| memory.parse::<Bytes>().ok());
        let memory = said.zip(facts.memory_bytes);
        let memory =
            memory.filter(|(said, found)| !MEMORY.contains(&(*found as f64 / said.0 as f64)));
        let memory = memory.map(|(said, found)| {
            format!("the profile says {said} of memory, the device has {}", Bytes(found))
        });
        [abi, cores, memory].into_iter().flatten().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_profile_of_another_device_is_contradicted() {
        let profile = Profile {
            abi: Some("aarch64".into()),
            cores: Some(4),
            memory: Some("8GB".into()),
            ..Profile::default()
        };
        let device = |arch: &str, cores, memory_bytes| Facts {
            arch: arch.into(),
            cores: Some(cores),
            memory_bytes: Some(memory_bytes),
            ..Facts::default()
        };
        let told = profile.contradicted(&device("x86_64", 2, 4 << 30));
        let [abi, cores, memory] = told.as_slice() else { panic!("{told:?}") };
        assert_eq!(abi, "the profile says aarch64, the device is x86_64");
        assert_eq!(cores, "the profile says 4 cores, the device lets 2 be used");
        assert!(memory.starts_with("the profile says 8"), "{memory}");
        for fits in [device("arm64", 4, 8_590_000_000), device("aarch64", 4, 7_600_000_000)] {
            assert_eq!(profile.contradicted(&fits), Vec::<String>::new());
        }
        let silent = Facts { arch: "aarch64".into(), ..Facts::default() };
        assert!(profile.contradicted(&silent).is_empty());
        assert!(Profile::default().contradicted(&device("riscv64", 1, 1)).is_empty());
    }
}
