-- expect: key-twice.lua:4: `limits` stands here twice, first on line 3
return policy "x" {
  limits = { hold = "hard" },
  limits = { cpus = 1 },
}
