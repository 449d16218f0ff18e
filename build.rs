//! proto/ → generated code and the descriptor set that reflection serves, without a protoc on the machine.

use std::{env, error::Error, fs, path::PathBuf};

use prost::Message as _;

const PROTOS: [&str; 7] = [
    "weir/event/v1/event.proto",
    "weir/event/v1/origin.proto",
    "weir/event/v1/frame.proto",
    "weir/ingest/v1/ingest.proto",
    "weir/ingest/v1/dead_letter.proto",
    "weir/ingest/v1/erasure.proto",
    "weir/reporting/v1/reporting.proto",
];

#[expect(
    clippy::disallowed_methods,
    reason = "cargo tells a build script its folder through the environment alone"
)]
fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=proto");
    let descriptors = protox::compile(PROTOS, ["proto"])?;
    let out = PathBuf::from(env::var("OUT_DIR")?);
    fs::write(out.join("weir.descriptors.bin"), descriptors.encode_to_vec())?;
    tonic_prost_build::configure().compile_fds(descriptors)?;
    Ok(())
}
