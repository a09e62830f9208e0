//! The program itself: what the verifier made of it, recorded so that growth is seen.

use std::fmt::Write as _;

use aya_obj::{Object, ProgramSection};
use plink_tests::{
    kernel::{KernelRunner, in_namespace},
    world::World,
};

/// What was measured, on the kernel that is named in it.
const RECORD: &str = include_str!("program.txt");

/// The stack of a program may have 512 bytes (`MAX_BPF_STACK`).
const MAX_STACK: i32 = 512;

/// Fails when a program has grown, or shrunk, by more than a fiftieth against `program.txt`. After a change that is
/// meant, the failure's text says what to write there.
#[test]
fn instructions_and_stack_are_as_recorded() {
    let verified = in_namespace(|| {
        let runner = KernelRunner::new(&World::new());
        runner.program().info().expect("its info").verified_instruction_count().expect("kernel 5.16 or newer")
    });
    let (instructions, stack) = object();
    assert!(stack <= MAX_STACK);
    let measured = [("instructions", instructions), ("verified", i64::from(verified)), ("stack", i64::from(stack))];
    let mut text = String::new();
    for (name, value) in measured {
        writeln!(text, "plink_xdp {name} {value}").unwrap();
    }
    for (name, value) in measured {
        let recorded = recorded(name);
        let difference = (value - recorded).abs();
        assert!(
            difference * 50 <= recorded,
            "{name}: {value}, recorded {recorded}; if that is meant, program.txt is now\n{text}"
        );
    }
}

fn recorded(name: &str) -> i64 {
    let line = RECORD.lines().find_map(|line| line.strip_prefix(&format!("plink_xdp {name} ")));
    line.unwrap_or_else(|| panic!("program.txt has no line for {name}")).parse().unwrap()
}

/// Instructions in the object, and the deepest byte below the frame pointer that one of them names.
fn object() -> (i64, i32) {
    let object = Object::parse(plink_agent::datapath::OBJECT).unwrap();
    let (_, program) = object
        .programs
        .iter()
        .find(|(_, program)| matches!(program.section, ProgramSection::Xdp { .. }))
        .expect("an XDP program");
    let functions: Vec<_> =
        object.functions.values().filter(|function| function.section_index.0 == program.section_index).collect();
    let instructions: usize = functions.iter().map(|function| function.instructions.len()).sum();
    let deepest = functions.iter().map(|function| depth(&function.instructions)).max().unwrap_or(0);
    (instructions as i64, deepest)
}

/// Loads and stores through r10, and addresses computed from it (`rX = r10; rX += offset`).
fn depth(instructions: &[aya_obj::generated::bpf_insn]) -> i32 {
    const FRAME_POINTER: u8 = 10;
    const MOVE: u8 = 0xbf; // BPF_ALU64 | BPF_MOV | BPF_X
    const ADD: u8 = 0x07; // BPF_ALU64 | BPF_ADD | BPF_K
    let mut deepest = 0;
    for (index, instruction) in instructions.iter().enumerate() {
        let memory = matches!(instruction.code & 0x07, 0x01..=0x03);
        let base = if instruction.code & 0x07 == 0x01 { instruction.src_reg() } else { instruction.dst_reg() };
        if memory && base == FRAME_POINTER {
            deepest = deepest.max(-i32::from(instruction.off));
        }
        if instruction.code == MOVE && instruction.src_reg() == FRAME_POINTER {
            let register = instruction.dst_reg();
            let added =
                instructions[index + 1..].iter().take(3).find(|next| next.code == ADD && next.dst_reg() == register);
            deepest = deepest.max(added.map_or(0, |next| -next.imm));
        }
    }
    deepest
}

/// Every drop reason has its line in the manual, in order, and there is no line without a reason.
#[test]
fn every_drop_reason_is_explained() {
    const MANUAL: &str = include_str!("../../docs/drop-reasons.md");
    let explained: Vec<&str> = MANUAL.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next()).collect();
    let reasons: Vec<&str> = plink_common::drop_reason::DropReason::ALL.iter().map(|reason| reason.label()).collect();
    assert_eq!(explained, reasons);
}
