-- expect: hold-as-list.lua:2: `hold` holds limits by name, such as memory = "hard", not the text "memory"
return policy "x" { limits = { hold = { "memory" } } }
