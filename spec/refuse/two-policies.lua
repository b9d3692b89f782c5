-- expect: two-policies.lua:3: a file returns one `policy`; there is one on line 2 already
local strict = policy "strict" { limits = { hold = "hard" } }
return policy "x" {}, strict
