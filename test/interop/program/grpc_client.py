"""Follows a channel over gRPC, publishes to it, and prints a line for what comes. Arguments: target, folder of the generated code."""
import sys

import grpc

target, generated = sys.argv[1:]
sys.path.insert(0, generated)
from everywire.v1 import messaging_pb2 as pb  # noqa: E402
from everywire.v1 import messaging_pb2_grpc as rpc  # noqa: E402

with grpc.insecure_channel(target) as channel:
    messaging = rpc.MessagingStub(channel)
    responses = messaging.Subscribe(pb.SubscribeRequest(channels=["python/**"]), timeout=20)
    print(next(responses).WhichOneof("kind"), flush=True)
    published = messaging.Publish(
        pb.PublishRequest(channel="python/한글", data="안녕".encode(), headers={"a": "b"}), timeout=5
    )
    message = next(responses).message
    print(message.channel, message.data.decode(), dict(message.headers), message.offset == published.offset)
    responses.cancel()

    def requests():
        yield pb.StreamRequest(id=1, subscribe=pb.Follow(channel="python/*", since="earliest"))
        yield pb.StreamRequest(id=2, ping=pb.Ping())

    for response in messaging.Stream(requests(), timeout=20):
        print(response.id, response.WhichOneof("kind"), flush=True)
        if response.WhichOneof("kind") == "message":
            break
    try:
        messaging.Publish(pb.PublishRequest(channel="$no"), timeout=5)
    except grpc.RpcError as error:
        print(error.code().name, any(b"BAD_NAME" in value for name, value in error.trailing_metadata()
                                     if name == "grpc-status-details-bin"))
