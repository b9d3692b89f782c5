-- Rust projects fetch crates and toolchains from here; a policy's own row gives the bare domain.
return group "ecosystem.cargo" {
  about = "Packages of cargo and toolchains of rustup.",
  "*.crates.io",
  "*.rust-lang.org",
}
