-- offline: for running something untrusted that needs nothing but itself.
-- It exists for the quick look at a script, a build without downloads, a test run: in memory, over in minutes.
return policy "offline" {
  about   = "No network, everything in memory, small limits.",
  extends = "base",

  files = { storage = "memory" },

  network = "none",

  limits = { cpus = 2, memory = 1 * GB, disk = 256 * MB, time = 10 * minutes, processes = 512 },
}
