-- JavaScript projects install from here. Headers and programs of Node come from its own site.
return group "ecosystem.npm" {
  about = "Packages of npm, yarn and pnpm.",
  bare = true,
  "*.npmjs.org",
  "*.npmjs.com",
  "*.yarnpkg.com",
  "*.nodejs.org",
}
