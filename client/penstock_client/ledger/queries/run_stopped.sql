-- All that the run $1 had begun is ended, or on its way there.
update penstock.runs set stopping = false where id = $1 and stopping
