-- A candidate of a fixed space is a vector of choices, as a JSON array; null in the open space.
ALTER TABLE candidate ADD COLUMN choices_json TEXT;
