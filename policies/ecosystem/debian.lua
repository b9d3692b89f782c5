-- Agents on Debian and Ubuntu install system packages from here.
return group "ecosystem.debian" {
  about = "Packages of apt.",
  "*.debian.org",
  "*.ubuntu.com",
}
