// The hand in 3D: mesh, joints and bones of one hand, which turns.
import * as three from './three.js';

const FIT = 3.4; // distance of the camera in radii of the hand
const TURN = Math.PI / 24; // of an arrow key, radians
const NEARER = 0.9; // of a key
const SURE = new three.Color('#2f7fd6'), UNSURE = new three.Color('#e07b1a'); // told apart by the colour-blind too

export class Viewer {
  // canvas: the element; bones: pairs of joint numbers.
  constructor(canvas, bones) {
    this.canvas = canvas;
    this.bones = bones;
    this.renderer = new three.WebGLRenderer({canvas, antialias: true, alpha: true});
    this.scene = new three.Scene();
    this.camera = new three.PerspectiveCamera(35, 1, 0.01, 10);
    this.camera.position.set(0, 0, 0.5);
    // The light comes with the eye.
    const sun = new three.DirectionalLight('white', 2);
    sun.position.set(0.5, 0.8, 1);
    this.camera.add(sun);
    this.scene.add(new three.HemisphereLight('white', '#667788', 1.6), this.camera);
    this.controls = new three.OrbitControls(this.camera, canvas);
    this.controls.enablePan = false;
    this.controls.autoRotateSpeed = 3;
    this.mesh = this.skeleton = null;
    canvas.addEventListener('keydown', event => this.onKey(event));
    this.renderer.setAnimationLoop(() => this.draw());
  }

  // Shows a hand of the answer with its faces; null for none.
  show(hand, faces) {
    const parts = [this.mesh, this.skeleton].filter(Boolean);
    parts.forEach(part => { this.scene.remove(part); part.traverse(dispose); });
    this.mesh = this.skeleton = null;
    if (!hand) return;
    this.mesh = meshOf(hand.vertices_m.map(toViewer), faces);
    this.skeleton = skeletonOf(hand.joints_3d_m.map(toViewer), hand.joint_confidence, this.bones);
    const {center, radius} = this.mesh.geometry.boundingSphere;
    const direction = this.camera.position.clone().sub(this.controls.target).normalize();
    this.controls.target.copy(center);
    this.controls.minDistance = radius * 1.3;
    this.controls.maxDistance = radius * 8;
    this.camera.position.copy(center).addScaledVector(direction, radius * FIT);
    this.scene.add(this.mesh, this.skeleton);
  }

  setVisible(mesh, joints) {
    if (!this.mesh) return;
    this.mesh.visible = mesh;
    this.mesh.material.opacity = joints ? 0.8 : 1;
    this.skeleton.visible = joints;
  }

  setTurning(turning) {
    this.controls.autoRotate = turning;
  }

  onKey(event) {
    const angles = {ArrowLeft: [-TURN, 0], ArrowRight: [TURN, 0], ArrowUp: [0, -TURN], ArrowDown: [0, TURN]};
    const zooms = {'+': NEARER, '=': NEARER, '-': 1 / NEARER};
    const offset = this.camera.position.clone().sub(this.controls.target);
    if (angles[event.key]) {
      const place = new three.Spherical().setFromVector3(offset);
      place.theta -= angles[event.key][0];
      place.phi += angles[event.key][1];
      offset.setFromSpherical(place.makeSafe());
    } else if (zooms[event.key]) {
      offset.multiplyScalar(zooms[event.key]);
    } else {
      return;
    }
    event.preventDefault();
    this.camera.position.copy(this.controls.target).add(offset);
  }

  draw() {
    const {clientWidth: width, clientHeight: height} = this.canvas;
    const ratio = Math.min(window.devicePixelRatio, 2);
    if (this.canvas.width !== Math.floor(width * ratio) || this.canvas.height !== Math.floor(height * ratio)) {
      this.renderer.setPixelRatio(ratio);
      this.renderer.setSize(width, height, false);
      this.camera.aspect = width / Math.max(height, 1);
      this.camera.updateProjectionMatrix();
    }
    this.controls.update();
    this.renderer.render(this.scene, this.camera);
  }
}

// Camera axes (x right, y down, z forward) to those of the view (y up, z toward the eye).
function toViewer([x, y, z]) {
  return [x, -y, -z];
}

function meshOf(vertices, faces) {
  const geometry = new three.BufferGeometry();
  geometry.setAttribute('position', new three.BufferAttribute(new Float32Array(vertices.flat()), 3));
  geometry.setIndex(faces.flat());
  geometry.computeVertexNormals();
  geometry.computeBoundingSphere();
  return new three.Mesh(geometry, new three.MeshStandardMaterial(
    {color: '#d9a58c', roughness: 0.7, side: three.DoubleSide, transparent: true, depthWrite: true}));
}

function skeletonOf(joints, confidence, bones) {
  const group = new three.Group();
  const ball = new three.SphereGeometry(0.003, 16, 12);
  joints.forEach((joint, number) => {
    const color = UNSURE.clone().lerp(SURE, confidence ? confidence[number] : 1);
    const one = new three.Mesh(ball, new three.MeshBasicMaterial({color, depthTest: false, transparent: true}));
    one.position.set(...joint);
    group.add(one);
  });
  const ends = new Float32Array(bones.flatMap(([parent, child]) => [...joints[parent], ...joints[child]]));
  const geometry = new three.BufferGeometry();
  geometry.setAttribute('position', new three.BufferAttribute(ends, 3));
  group.add(new three.LineSegments(geometry, new three.LineBasicMaterial(
    {color: '#333a45', depthTest: false, transparent: true})));
  group.renderOrder = 1;
  return group;
}

function dispose(part) {
  part.geometry?.dispose();
  part.material?.dispose();
}
