//! What a reader found, before it is split.

use crate::data::DataError;
use crate::data::Samples;

/// The parts a source has on its own.
#[derive(Clone, Debug)]
pub(super) struct Source {
    /// Class names in label order.
    pub classes: Vec<String>,
    /// Everything that is no other part.
    pub train: Samples,
    /// If the source has its own.
    pub validation: Option<Samples>,
    /// If the source has its own.
    pub test: Option<Samples>,
    /// What was decided while reading, one sentence each.
    pub notes: Vec<String>,
}

impl Source {
    /// A source that is yet to be cut.
    pub fn of_one_part(classes: Vec<String>, train: Samples) -> Source {
        Source { classes, train, validation: None, test: None, notes: Vec::new() }
    }

    /// Can a classifier be trained on it?
    ///
    /// # Errors
    ///
    /// [`DataError::OneClass`], [`DataError::TooManyClasses`], [`DataError::EmptyClass`].
    pub fn check(&self, name: &str) -> Result<(), DataError> {
        let name = || name.to_owned();
        let found = self.classes.len();
        if let [class] = self.classes.as_slice() {
            return Err(DataError::OneClass { name: name(), class: class.clone() });
        }
        if found > MAX_CLASSES {
            return Err(DataError::TooManyClasses { name: name(), found, limit: MAX_CLASSES });
        }
        let counts = self.train.class_counts(found);
        match counts.iter().position(|&count| count == 0) {
            Some(empty) => {
                Err(DataError::EmptyClass { name: name(), class: self.classes[empty].clone() })
            }
            None => Ok(()),
        }
    }
}

/// As many as ImageNet has; more distinct labels are rather numbers of another kind.
const MAX_CLASSES: usize = 1000;
