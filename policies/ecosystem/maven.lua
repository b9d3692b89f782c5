-- Java projects fetch artefacts from here; Maven and Gradle ask subdomains only.
return group "ecosystem.maven" {
  about = "Packages of Maven and Gradle.",
  "*.maven.org",
  "*.maven.apache.org",
  "*.gradle.org",
}
