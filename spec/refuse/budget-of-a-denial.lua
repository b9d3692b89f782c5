-- expect: budget-of-a-denial.lua:2: unknown key `bytes` in `deny`
return policy "x" { network = { deny { "x.org", bytes = 1 * GB } } }
