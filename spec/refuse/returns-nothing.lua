-- expect: returns-nothing.lua:2: returns nothing; it must end with return policy "name" { … }
local p = policy "x" {}
