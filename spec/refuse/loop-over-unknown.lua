-- expect: loop-over-unknown.lua:2: `io` is not there in policy files: they describe, and reach nothing outside
for _ in io.lines("names.txt") do end
return policy "x" {}
