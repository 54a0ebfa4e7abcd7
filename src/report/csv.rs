//! The front for spreadsheets.
use crate::pareto::Objective;
use crate::pareto::Value;

use super::Candidate;
use super::Front;

const HEADER: &str = "id,parent,seed,knee,error,error_low,error_high,test_error,latency_us,\
                      latency_low_us,latency_high_us,memory_bytes,parameters,macs,model_bytes,\
                      verdict,rounds,epochs,lineage,onnx";

/// A header and one line for each member, in the order of the table; an empty field means unknown.
pub fn csv(front: &Front) -> String {
    let lines = front.members.iter().map(|m| line(front, m));
    std::iter::once(HEADER.to_owned()).chain(lines).map(|line| line + "\n").collect()
}

fn line(front: &Front, candidate: &Candidate) -> String {
    let row = &candidate.row;
    let [error, error_low, error_high] = value(row.value(Objective::Error));
    let [latency, latency_low, latency_high] = value(row.value(Objective::Latency));
    let measurement = row.measurement.as_ref();
    let fields = [
        row.id.to_string(),
        optional(row.parent),
        candidate.seed.to_string(),
        (front.knee == Some(row.id)).to_string(),
        error,
        error_low,
        error_high,
        optional(row.test_error),
        latency,
        latency_low,
        latency_high,
        optional(measurement.and_then(|m| m.memory_bytes)),
        row.parameters.to_string(),
        row.macs.to_string(),
        optional(measurement.map(|m| m.model_bytes)),
        optional(measurement.map(|m| &m.verdict)),
        row.rounds.len().to_string(),
        optional(row.training.as_ref().map(|t| t.epochs)),
        front.lineage(row.id).join(" "),
        optional(front.onnx_path(candidate)),
    ];
    fields.map(|field| quoted(&field)).join(",")
}

fn value(value: Option<Value>) -> [String; 3] {
    match value {
        Some(v) => [v.value, v.interval[0], v.interval[1]].map(|x| x.to_string()),
        None => Default::default(),
    }
}

fn optional(value: Option<impl ToString>) -> String {
    value.map(|v| v.to_string()).unwrap_or_default()
}

/// RFC 4180; a text that a spreadsheet would take for a formula is marked as text.
fn quoted(field: &str) -> String {
    let number = field.parse::<f64>().is_ok();
    let formula = !number && field.starts_with(['=', '+', '-', '@', '\t', '\r']);
    let field = if formula { format!("'{field}") } else { field.to_owned() };
    if field.contains([',', '"', '\n', '\r']) {
        return format!("\"{}\"", field.replace('"', "\"\""));
    }
    field
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_stay_fields_and_texts_stay_texts() {
        assert_eq!(quoted("deepen widen"), "deepen widen");
        assert_eq!(quoted("a,\"b\""), "\"a,\"\"b\"\"\"");
        assert_eq!(quoted("=HYPERLINK(\"x\")"), "\"'=HYPERLINK(\"\"x\"\")\"");
        assert_eq!(quoted("-0.5"), "-0.5");
    }
}
