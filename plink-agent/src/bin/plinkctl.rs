//! The command line.

fn main() -> std::process::ExitCode {
    plink_agent::cli::main()
}
