-- expect: dumps.lua:2: `dump` is nothing that can be called here
return policy "x" { about = ("x").dump(policy) }
