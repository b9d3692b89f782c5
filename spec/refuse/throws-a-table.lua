-- expect: throws-a-table.lua:2: raised a table; error is given a sentence
error({ "no sentence" })
