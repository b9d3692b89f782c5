-- expect: returns-a-number.lua:1: returns the number 4; it must end with return policy "name" { … }
return 4
