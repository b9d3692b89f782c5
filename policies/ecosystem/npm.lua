-- JavaScript projects install from here; tools that ask a bare domain are given it by a policy's own row.
return group "ecosystem.npm" {
  about = "Packages of npm, yarn and pnpm.",
  "*.npmjs.org",
  "*.npmjs.com",
  "*.yarnpkg.com",
  "*.nodejs.org",
}
