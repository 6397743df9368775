from their_repository import build_model, extract

from reidbench.training import Embedder, Preprocess, read_state


class Theirs(Embedder):
    def __init__(self, preprocess):
        super().__init__(preprocess=preprocess)
        self.model = build_model()

    def forward(self, images, camids=None):
        return extract(self.model, images)


def load(ctx):
    embedder = Theirs(Preprocess(ctx.image_size))
    embedder.model.load_state_dict(read_state(ctx.params.weights))
    return embedder
