-- expect: extends-twice.lua:2: `extends` goes one level deep, and "offline" extends "base" itself
return policy "x" { extends = "offline" }
