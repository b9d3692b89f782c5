-- expect: extends-twice.lua:2: `extends` goes one level deep, and "offline" extends "base" itself; extend that
return policy "x" { extends = "offline" }
