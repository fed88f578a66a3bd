//! Makes the API's messages and service from `proto/ironlane.proto`.
//!
//! Messages get serde's derives, so that `--json` prints the field names of the proto file.

use std::path::PathBuf;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let out = PathBuf::from(std::env::var("OUT_DIR")?);
    tonic_prost_build::configure()
        .type_attribute(".", "#[derive(serde::Serialize, serde::Deserialize)]")
        .file_descriptor_set_path(out.join("ironlane_descriptor.bin"))
        .compile_protos(&["proto/ironlane.proto"], &["proto"])
        .map_err(|e| match e.kind() {
            std::io::ErrorKind::NotFound => {
                format!("{e}\nprotoc generates the API; run: apt-get install protobuf-compiler")
            }
            _ => e.to_string(),
        })?;
    Ok(())
}
