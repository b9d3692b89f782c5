-- Rust projects fetch crates and toolchains from here.
return group "ecosystem.cargo" {
  about = "Packages of cargo and toolchains of rustup.",
  bare = true,
  "*.crates.io",
  "*.rust-lang.org",
  "*.rustup.rs",
}
