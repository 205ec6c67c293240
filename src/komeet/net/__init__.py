"""The only room that opens sockets: the server, the client, and the tasks that outlive a call."""
