-- expect: global.lua:2: `shared = …` would make a global; write `local shared = …`
shared = { "/usr" }
return policy "x" {}
