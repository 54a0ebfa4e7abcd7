//! Cells in words.
use super::ChoiceError;
use super::cell::Block;
use super::cell::Cells;
use super::cell::Combine;
use super::cell::INPUTS;
use super::cell::Operation;

/// Blocks apart by spaces, the two cells by ` / `; a block is two operations, each with what it
/// reads, added (`+`) or joined (`&`): `sep3(0)+max3(1) skip(1)&sep5(2) / …`.
pub(super) fn write(cells: &Cells) -> String {
    let cell = |blocks: &[Block]| blocks.iter().map(block).collect::<Vec<_>>().join(" ");
    format!("{} / {}", cell(&cells.normal.blocks), cell(&cells.reduction.blocks))
}

/// One block as in [`write`].
pub(super) fn block(block: &Block) -> String {
    let [one, other] = block.parts.map(|(from, op)| format!("{}({from})", op.name()));
    let sign = match block.combine {
        Combine::Add => '+',
        Combine::Concat => '&',
    };
    format!("{one}{sign}{other}")
}

/// The blocks of both cells, so many each, of these operations; a block reads only what is before it.
pub(super) fn read(
    text: &str,
    blocks: usize,
    operations: &[Operation],
) -> Result<[Vec<Block>; 2], ChoiceError> {
    let cells: Vec<&str> = text.split('/').collect();
    let [normal, reduction] = cells[..] else {
        return Err(wrong(text, "two cells with ` / ` between them".to_owned()));
    };
    let cell = |text: &str| {
        let words: Vec<&str> = text.split_whitespace().collect();
        if words.len() != blocks {
            return Err(wrong(text.trim(), format!("a cell of {blocks} blocks")));
        }
        let read = words.iter().enumerate().map(|(at, word)| {
            let block = read_block(word, INPUTS + at, operations);
            block.ok_or_else(|| wrong(word, wanted(INPUTS + at, operations)))
        });
        read.collect::<Result<Vec<_>, _>>()
    };
    Ok([cell(normal)?, cell(reduction)?])
}

fn wrong(found: &str, wanted: String) -> ChoiceError {
    ChoiceError::Text { found: found.to_owned(), wanted }
}

fn wanted(places: usize, operations: &[Operation]) -> String {
    let names: Vec<String> = operations.iter().map(|operation| operation.name()).collect();
    let last = places - 1;
    format!(
        "two of {} on places 0 to {last}, as `{}(0)+{}({last})`",
        names.join(", "),
        names[1],
        names[0]
    )
}

fn read_block(word: &str, places: usize, operations: &[Operation]) -> Option<Block> {
    let sign = word.find(['+', '&'])?;
    let combine = if word[sign..].starts_with('+') { Combine::Add } else { Combine::Concat };
    let part = |text: &str| {
        let (name, from) = text.strip_suffix(')')?.split_once('(')?;
        let from = from.parse().ok().filter(|from| *from < places)?;
        Some((from, operations.iter().copied().find(|operation| operation.name() == name)?))
    };
    Some(Block { parts: [part(&word[..sign])?, part(&word[sign + 1..])?], combine })
}
